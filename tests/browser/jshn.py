"""Reads and writes JSON for what stands for libubox' jshn.sh (router.py)."""
import json
import sys


def dump(notes):
    """What jshn's calls make."""
    stack = [{}]
    words = notes.split("\0")
    for kind, name, value in zip(words[::3], words[1::3], words[2::3]):
        if kind == "close":
            stack.pop()
        elif kind == "object":
            stack[-1][name] = {}
            stack.append(stack[-1][name])
        else:
            stack[-1][name] = {
                "string": str,
                "int": int,
                "boolean": lambda word: bool(int(word))
            }[kind](value)
    assert len(stack) == 1, notes
    return json.dumps(stack[0])


if __name__ == "__main__":
    given = sys.stdin.read()
    print(dump(given) if sys.argv[1] == "dump" else json.loads(given).get(sys.argv[2], ""))
