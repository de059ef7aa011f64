# Completion of weir(1) for bash.
_weir() {
    local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]-}
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "run check explain test mock version help" -- "$current")
        return
    fi
    local options=""
    case $command in
    run) options="--address --workers --admin-port --log-level --port-offset --drain-time --generation-header --mock" ;;
    check) options="--json" ;;
    explain) options="--request --path --header --data --listener --json" ;;
    test) options="--case --verbose" ;;
    mock) options="--port --address --latency --tokens --rate --chunk --fail --workers" ;;
    help) options="run check explain test mock version" ;;
    esac
    if [[ $current == -* || $command == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}
complete -o filenames -F _weir weir
