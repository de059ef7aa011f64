// Help, manual page and shell completion, all made from commands.def.
#include "cli/cli.h"

#define WIDTH 80

// Prints text broken at blanks, each line after `indent` blanks; an empty line in the text starts a paragraph.
static void print_wrapped(FILE *out, struct slice text, size_t indent, size_t column)
{
    while (text.len > 0) {
        size_t end = 0;
        while (end < text.len && text.ptr[end] != ' ' && text.ptr[end] != '\n')
            end++;
        if (column > indent && column + 1 + end > WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        if (column < indent) {
            fprintf(out, "%*s", (int)(indent - column), "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', out);
            column++;
        }
        fwrite(text.ptr, 1, end, out);
        column += end;
        if (slice_starts_with(slice_from(text, end), SLICE("\n\n"))) {
            fputs("\n\n", out);
            column = 0;
            end++;
        }
        text = slice_from(text, end + 1);
    }
    fputc('\n', out);
}

// "-X, --request METHOD"; gives its width.
static size_t print_option_name(FILE *out, const struct option *option)
{
    char letter[8] = "";
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    bool is_optional = option_may_take_value(option);
    int width = fprintf(out, "  %s--" SLICE_FMT "%s" SLICE_FMT, letter, SLICE_ARG(option->name),
                        option->argument.len && !is_optional ? " " : "", SLICE_ARG(option->argument));
    return width > 0 ? (size_t)width : 0;
}

static void print_option(FILE *out, const struct option *option)
{
    const size_t text_column = 28;
    size_t width = print_option_name(out, option);
    if (width + 2 > text_column) {
        fputc('\n', out);
        width = 0;
    }
    print_wrapped(out, option->text, text_column, width);
}

void help_print_command(FILE *out, enum command_id id)
{
    const struct command *command = command_at(id);
    fprintf(out,
            "Usage: weir " SLICE_FMT " [OPTION]..."
            "%s" SLICE_FMT "\n\n",
            SLICE_ARG(command->name), command->arguments.len ? " " : "", SLICE_ARG(command->arguments));
    fputc((char)(command->summary.ptr[0] & ~0x20), out);
    fprintf(out, SLICE_FMT "\n", SLICE_ARG(slice_from(command->summary, 1)));
    if (command->text.len) {
        fputc('\n', out);
        print_wrapped(out, command->text, 0, 0);
    }
    fputs("\nOptions:\n", out);
    for (int i = 0; i < OPTION_COUNT; i++)
        if (option_at((enum option_id)i)->command == id)
            print_option(out, option_at((enum option_id)i));
    print_option(out, &(struct option){.name = SLICE_INIT("help"),
                                       .letter = id == COMMAND_EXPLAIN ? 0 : 'h',
                                       .text = SLICE_INIT("print this text")});
}

void help_print_overview(FILE *out)
{
    fputs("Weir, an AI gateway: one front door for many model providers.\n\n"
          "Usage: weir COMMAND [OPTION]... [ARGUMENT]...\n\nCommands:\n",
          out);
    for (int i = 0; i < COMMAND_COUNT; i++) {
        const struct command *command = command_at((enum command_id)i);
        fprintf(out, "  %-10.*s" SLICE_FMT "\n", SLICE_ARG(command->name), SLICE_ARG(command->summary));
    }
    fputs("\n`weir help COMMAND` or `weir COMMAND --help` says more.\n\n"
          "Exit status: 0 done, or stopped as asked; 1 failed at run time;\n"
          "2 wrong configuration or usage.\n",
          out);
}

// ---- manual page (mdoc) ---------------------------------------------------------------------------------------------

// Backslashes and a control character at the start of a line mean something to roff.
static void print_roff(FILE *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\n' && i + 1 < text.len && text.ptr[i + 1] == '\n') {
            fputs("\n.Pp", out);
            continue;
        }
        if (c == '\\')
            fputs("\\e", out);
        else if (c == '-')
            fputs("\\-", out);
        else if ((c == '.' || c == '\'') && (i == 0 || text.ptr[i - 1] == '\n'))
            fprintf(out, "\\&%c", c);
        else
            fputc(c, out);
    }
}

static void print_man_command(FILE *out, enum command_id id)
{
    const struct command *command = command_at(id);
    fprintf(out, ".Ss weir " SLICE_FMT " [OPTION]... " SLICE_FMT "\n", SLICE_ARG(command->name),
            SLICE_ARG(command->arguments));
    print_roff(out, command->text.len ? command->text : command->summary);
    fputc('\n', out);
    fputs(".Bl -tag -width Ds\n", out);
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = option_at((enum option_id)i);
        if (option->command != id)
            continue;
        fputs(".It ", out);
        if (option->letter)
            fprintf(out, "\\-%c, ", option->letter);
        fputs("\\-\\-", out);
        bool is_spaced = option_takes_value(option);
        print_roff(out, option->name);
        fputs(is_spaced ? " " : "", out);
        print_roff(out, option->argument);
        fputc('\n', out);
        print_roff(out, option->text);
        fputc('\n', out);
    }
    fputs(".El\n", out);
}

static void print_man(FILE *out)
{
    fputs(
        ".Dd $Mdocdate$\n.Dt WEIR 1\n.Os\n.Sh NAME\n.Nm weir\n.Nd AI gateway\n.Sh SYNOPSIS\n.Nm\n.Ar command\n"
        ".Op Ar option ...\n.Op Ar argument ...\n.Sh DESCRIPTION\nWeir stands between applications that call language "
        "models and the providers that serve them.\n.Sh COMMANDS\n",
        out);
    for (int i = 0; i < COMMAND_COUNT; i++)
        print_man_command(out, (enum command_id)i);
    fputs(".Sh EXIT STATUS\n.Bl -tag -width Ds\n.It 0\nDone, or stopped as asked.\n.It 1\nFailed at run time.\n.It 2\n"
          "Wrong configuration or usage.\n.El\n",
          out);
}

// ---- completion -----------------------------------------------------------------------------------------------------

static void print_bash_options(FILE *out, enum command_id id)
{
    for (int i = 0; i < OPTION_COUNT; i++) {
        const struct option *option = option_at((enum option_id)i);
        if (option->command == id)
            fprintf(out, "--" SLICE_FMT " ", SLICE_ARG(option->name));
    }
    fputs("--help", out);
}

static void print_bash(FILE *out)
{
    fputs("# bash completion for weir\n_weir()\n{\n    local word=${COMP_WORDS[COMP_CWORD]} words=\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words='",
          out);
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, SLICE_FMT "%s", SLICE_ARG(command_at((enum command_id)i)->name), i + 1 < COMMAND_COUNT ? " " : "");
    fputs("'\n        COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n        return\n    fi\n"
          "    case ${COMP_WORDS[1]} in\n",
          out);
    for (int i = 0; i < COMMAND_COUNT; i++) {
        fprintf(out, "    " SLICE_FMT ") words='", SLICE_ARG(command_at((enum command_id)i)->name));
        print_bash_options(out, (enum command_id)i);
        fputs("' ;;\n", out);
    }
    fputs("    esac\n    case $word in\n    -*) COMPREPLY=($(compgen -W \"$words\" -- \"$word\")) ;;\n"
          "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n    esac\n}\ncomplete -o filenames -F _weir weir\n",
          out);
}

int command_help(struct cli *cli, const struct arguments *arguments)
{
    struct slice shell;
    if (argument_flag(arguments, OPTION_HELP_MAN)) {
        print_man(cli->out);
        return CLI_OK;
    }
    if (argument_value(arguments, OPTION_HELP_COMPLETION, &shell)) {
        if (!slice_eq(shell, SLICE("bash")))
            return cli_usage_error(cli, COMMAND_HELP, "no completion for the shell '" SLICE_FMT "', only for bash",
                                   SLICE_ARG(shell));
        print_bash(cli->out);
        return CLI_OK;
    }
    if (arguments->file_count == 0) {
        help_print_overview(cli->out);
        return CLI_OK;
    }
    if (arguments->file_count > 1)
        return cli_usage_error(cli, COMMAND_HELP, "takes one command");
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (slice_eq(command_at((enum command_id)i)->name, arguments->files[0])) {
            help_print_command(cli->out, (enum command_id)i);
            return CLI_OK;
        }
    cli_usage_error(cli, COMMAND_HELP, "there is no command '" SLICE_FMT "'", SLICE_ARG(arguments->files[0]));
    cli_suggest_command(cli, arguments->files[0]);
    return CLI_USAGE;
}
