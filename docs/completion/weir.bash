# bash completion for weir
_weir()
{
    local word=${COMP_WORDS[COMP_CWORD]} words=
    if [ "$COMP_CWORD" -eq 1 ]; then
        words='run check explain test mock envoy version help'
        COMPREPLY=($(compgen -W "$words" -- "$word"))
        return
    fi
    case ${COMP_WORDS[1]} in
    run) words='--address --workers --admin-port --log-level --port-offset --drain-time --memory-limit --generation-header --upgrade --mock --help' ;;
    check) words='--json --help' ;;
    explain) words='--request --path --header --data --listener --json --help' ;;
    test) words='--case --verbose --help' ;;
    mock) words='--port --address --latency --tokens --rate --chunk --fail --workers --help' ;;
    envoy) words='--xds-dir --module --publish --address --port-offset --admin-port --help' ;;
    version) words='--help' ;;
    help) words='--man --completion --help' ;;
    esac
    case $word in
    -*) COMPREPLY=($(compgen -W "$words" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
    esac
}
complete -o filenames -F _weir weir
