# Completion of weir(1) for bash.
_weir() {
    local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]-}
    if [ "$COMP_CWORD" -eq 1 ]; then
        mapfile -t COMPREPLY < <(compgen -W "run check explain test mock version help" -- "$current")
        return
    fi
    local options=""
    case $command in
    run) options="--address --workers --admin-port --log-level --port-offset --drain-time" ;;
    check) options="--json" ;;
    explain) options="--json --path -X -H -d" ;;
    mock) options="--port --latency --tokens --rate" ;;
    help) options="run check explain test mock version" ;;
    esac
    if [[ $current == -* || $command == help ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
    fi
}
complete -o filenames -F _weir weir
