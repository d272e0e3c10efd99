# Completions of dnstapd for bash: dnstapd completions bash > /etc/bash_completion.d/dnstapd
_dnstapd() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=
    case ${COMP_WORDS[1]} in
    top) words="--config --url --api-key-file --get --help" ;;
    password) words="--config --new --set --help" ;;
    cat) words="--format --filter --help" ;;
    completions) words="bash zsh fish" ;;
    help) words="top password cat completions" ;;
    *)
        words="--config --listen --port --unix --interface --read --verbose --check --against --version --help"
        [ "$COMP_CWORD" -eq 1 ] && words="top password cat completions help $words"
        ;;
    esac
    case $before in
    -c | --config | -r | --read | -u | --unix | --against | --api-key-file) words= ;;
    -i | --interface) words="any $(ls /sys/class/net)" ;;
    -l | --listen) words="127.0.0.1 0.0.0.0 ::1 ::" ;;
    --format) words="text json yaml csv ecs zeek" ;;
    --filter) words="client= name= type= rcode= message= stream= status= protocol= min-latency= since= until=" ;;
    -p | --port | --url | --get) return ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o default -F _dnstapd dnstapd
