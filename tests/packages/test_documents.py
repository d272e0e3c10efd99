"""The documentation: its links lead somewhere, what it tells to write is accepted, its words are spelled
right."""
import json
import os
import re
import subprocess
import tempfile
import tomllib

from harness import TOP

PROGRAM = os.path.join(TOP, "target/cross/x86_64-unknown-linux-musl/default/dnstapd")
# Words that only look like mistakes: a field's name, a macro of mandoc.
WORDS = "ede,nd"


def documents():
    """Path and text of every document."""
    names = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "tests/README.md"]
    names += [f"docs/{name}" for name in sorted(os.listdir(f"{TOP}/docs")) if name.endswith(".md")]
    for name in names:
        with open(f"{TOP}/{name}", encoding="utf-8") as file:
            yield name, file.read()


def blocks(text):
    """The indented blocks: what is to be typed, written or seen."""
    found = re.findall(r"(?m)(?:^    .*\n(?:\s*\n(?=    ))?)+", "\n" + text + "\n")
    return [re.sub(r"(?m)^    ", "", block).strip("\n") for block in found]


def anchors(text):
    """As GitHub makes them of headings."""
    headings = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links():
    texts, linked, count = dict(documents()), set(), 0
    for name, text in texts.items():
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"https?://", link):
                continue
            place, _, anchor = link.partition("#")
            path = os.path.normpath(os.path.join(os.path.dirname(name), place)) if place else name
            assert os.path.exists(f"{TOP}/{path}"), f"{name}: {link}"
            assert not anchor or anchor in anchors(texts[path]), f"{name}: {link}"
            linked.add(path)
            count += 1
    missing = {name for name in texts if name.startswith("docs/")} - linked
    assert not missing, f"no link leads to {missing}"
    return f"{count} links"


def test_pictures():
    text = dict(documents())["README.md"]
    pictures = re.findall(r"!\[([^\]]+)\]\(([^)]+)\)", text)
    assert len(pictures) == 2
    for words, path in pictures:
        assert len(words) > 10 and os.path.getsize(f"{TOP}/{path}") < 150 << 10, path
    assert len(text.splitlines()) <= 150


def test_configurations():
    """Each piece of configuration is accepted as far as words go: what this machine lacks is another
    matter."""
    count = 0
    for name, text in documents():
        for block in blocks(text):
            if not re.match(r"(?:#.*\n)*\[{1,2}[a-z-]+(\.[a-z-]+)?\]{1,2}", block):
                continue
            with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
                file.write(block + "\n")
                file.flush()
                done = subprocess.run([PROGRAM, "--check", "-c", file.name],
                                      capture_output=True,
                                      text=True,
                                      timeout=30)
            lacks = "cargo feature `kafka`" in done.stderr
            assert done.returncode in (0, 1) or lacks, f"{name}:\n{block}\n{done.stderr}"
            count += 1
    assert count > 25, count
    return f"{count} pieces"


def commands():
    """Document and command, lines that go on put together; what stands behind two spaces and `#` is said of
    it."""
    for name, text in documents():
        for block in blocks(text):
            for line in block.replace("\\\n", " ").splitlines():
                yield name, re.sub(r"\s{2,}#.*$", "", line).strip()


def test_commands_of_dnstapd():
    """Every option that a command of ours has is in the program's own help."""
    helps = {
        word: subprocess.run([PROGRAM, "help", *([word] if word else [])],
                             capture_output=True,
                             text=True,
                             check=True).stdout
        for word in ("", "top", "cat", "password", "completions")
    }
    count = 0
    for name, line in commands():
        for call in re.findall(
                r"(?:^|[|;] *|&& )(?:docker exec \S+ )?(?:\S*/)?dnstapd( [^|;&>]*)?(?=$|[|;&>])", line):
            words = call.split()
            program = words[0] if words and words[0] in helps else ""
            for option in re.findall(r"(?<=\s)(--[a-z-]+|-[a-zA-Z](?=\s|$))", " " + call):
                assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])",
                                 helps[program]), (name, line, option)
            count += 1
    assert count > 12, count
    return f"{count} commands"


def test_commands_of_the_checkout():
    """Scripts that are told to be run are there, with these options; so are the files that are named."""
    count = 0
    for name, line in commands():
        found = re.match(r"(?:sudo )?((?:scripts|tests)/[\w/-]+)( .*)?$", line)
        if found and os.path.isfile(f"{TOP}/{found[1]}"):
            with open(f"{TOP}/{found[1]}", encoding="utf-8") as file:
                source = file.read()
            for option in re.findall(r"(?<=\s)(--[a-z-]+)", found[2] or ""):
                assert option in source or found[1].endswith("run"), (name, line)
            count += 1
        elif found:
            raise AssertionError(f"{name}: {line}: not there")
        for path in re.findall(r"(?<![\w/.])((?:configs|cross|scripts|tests|docs|proto)/[\w./-]*\w)", line):
            assert os.path.exists(f"{TOP}/{path}") or "target" in path, (name, line, path)
    assert count > 5, count
    return f"{count} commands"


def test_paths_of_the_web_api():
    """Each request that is shown is one that the description has."""
    with open(f"{TOP}/configs/openapi.json", encoding="utf-8") as file:
        paths = json.load(file)["paths"]
    asked = {(name, path)
             for name, line in commands()
             for path in re.findall(r"(?:8080|--get '?)(/[a-z]+)", line)}
    assert asked and all(path in paths for _, path in asked), asked


def test_names_of_packages():
    """Files are called by the version that is made here."""
    with open(f"{TOP}/Cargo.toml", "rb") as file:
        version = tomllib.load(file)["package"]["version"]
    named = {(name, number) for name, line in commands() for number in re.findall(r"dnstapd_([\d.]+)-", line)}
    assert named and all(number == version for _, number in named), (version, named)


def test_spelling():
    """By codespell, over what people read: documents, the page, the views of LuCI, configurations."""
    done = subprocess.run([
        "codespell", "--ignore-words-list", WORDS, "README.md", "CONTRIBUTING.md", "SECURITY.md",
        "CHANGELOG.md", "docs", "configs", "src/http/documents/page/index.html",
        "src/http/documents/page/script.js", "cross", "scripts", "tests/README.md", "--skip",
        "*.png,scripts/bench,scripts/tlds"
    ],
                          cwd=TOP,
                          capture_output=True,
                          text=True,
                          timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stdout + done.stderr
