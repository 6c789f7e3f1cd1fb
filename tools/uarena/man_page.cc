// uarena(1) from the table, in man(7) macros. docs/man/uarena.1 is this text, committed; a test
// holds the two together.
#include <fmt/format.h>

#include "tools/uarena/help.h"
#include "tools/uarena/render.h"

namespace uarena::cli {
namespace {

// Backslashes and dashes are roff's own; a line must not begin with a control character.
std::string roff(std::string_view text) {
  std::string out;
  if (text.starts_with('.') || text.starts_with('\'')) out += "\\&";
  for (char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

std::string tagged(const std::string& term, std::string_view text) {
  return fmt::format(".TP\n\\fB{}\\fR\n{}\n", roff(term), roff(text));
}

std::string flags_section(const std::vector<Flag>& flags) {
  std::string out;
  for (const Flag& flag : flags)
    out += tagged(
        flag.value.empty() ? std::string(flag.name) : fmt::format("{} {}", flag.name, flag.value),
        flag.help);
  return out;
}

std::string command_section(const Object& object, const Command& command) {
  std::string out = fmt::format(".SS {}\n{}.\n{}\n", roff(usage_line(object, command)),
                                roff(command.summary), roff(command.details));
  for (const Argument& argument : command.arguments)
    out += tagged(std::string(argument.name), argument.help);
  out += flags_section(command.flags);
  out += fmt::format(".PP\nExample:\n.PP\n.RS\n.nf\n{}\n.fi\n.RE\n", roff(command.example));
  return out;
}

constexpr std::string_view kDescription =
    "uarena is bpf_arena in user space. The broker uarenad(8) owns arenas, sparse shared memory of "
    "up to 4 GiB, and runs BPF programs on them; this command shows and changes what it keeps. "
    "Objects and commands may be shortened to any prefix that fits only one. The objects arena, "
    "prog and client alone list what there is; daemon alone is its status.";

constexpr std::string_view kJson =
    "With \\-j or \\-p every command prints one JSON document on standard output. Its key "
    "\"version\" is {}; it rises when a key changes its meaning or goes. Addresses, registers and "
    "other 64\\-bit values are \"0x...\" strings; ids, counters and times are numbers. An error is "
    "the document {{error, errno, exit_code}}, with the exit status of the list below. arena show "
    "NAME "
    "and client show ID have fault_stats {{installed, present, deferred, discarded, denied, error, "
    "denied_by_signal, denied_by_poison, unexpected, pending, p50_ns, p99_ns, p999_ns, max_ns}}: "
    "the "
    "first six are ways in which a fault ended, pending those that wait for their answer. arena "
    "show NAME has pages_by_origin {{program, fault, client, reserved}}; client show ID has "
    "attachments [{{arena_id, arena, absent_page, syscalls, refusal, pages_by_origin, "
    "fault_stats}}], one for each arena: absent_page is served or refused, syscalls served or "
    "EFAULT, refusal signal or poison. arena trace has {{arena, since_ns, next, overwritten, "
    "faults "
    "[{{number, time_ns, client, thread, thread_is, address, access, outcome, latency_ns, "
    "refusal}}]}}: thread_is is tid or ptid, access read or write, refusal is there when outcome "
    "is "
    "denied.";

constexpr std::string_view kEnvironment =
    ".TP\n\\fBUARENA_SOCKET\\fR\nthe broker's socket where \\-s does not name one\n"
    ".TP\n\\fBUARENA_OPTIONS\\fR\nhow page faults are answered where a program of libuarena, or "
    "this "
    "command, leaves it open; words with commas between them: direct or fault\\-around=N (or "
    "=auto) "
    "for arenas that it creates, exact for its attachments to SEGV_ON_FAULT arenas, "
    "user\\-mode\\-only "
    "for userfaultfds as who has no privilege gets them\n"
    ".TP\n\\fBNO_COLOR\\fR, \\fBTERM\\fR, \\fBCOLUMNS\\fR\nno colours, what the terminal is, and "
    "how wide\n";

constexpr std::string_view kExitStatus =
    ".TP\n0\nsuccess; also of prog run, whatever the program returned\n"
    ".TP\n1\nthe request failed\n"
    ".TP\n2\nusage: an argument is missing, unknown, ambiguous or out of bounds\n"
    ".TP\n3\nthe object asked for does not exist\n"
    ".TP\n4\nno permission\n"
    ".TP\n5\nthe broker can't be reached\n"
    ".TP\n6\ncommand and broker speak no common version\n"
    ".TP\n7\nthe BPF object or program was rejected\n"
    ".TP\n8\nover quota\n";

}  // namespace

std::string manual_page() {
  std::string out =
      ".\\\" Made by `uarena --man` from the table of commands; edit the table.\n"
      ".TH UARENA 1 \"\" \"uarena\" \"User Commands\"\n"
      ".SH NAME\nuarena \\- look at and change the arenas, programs and clients of a broker\n"
      ".SH SYNOPSIS\n\\fBuarena\\fR [\\fB\\-s\\fR \\fISOCKET\\fR] [\\fB\\-j\\fR|\\fB\\-p\\fR] "
      "\\fIOBJECT COMMAND\\fR [\\fIARGUMENTS\\fR]\n.br\n"
      "\\fBuarena help\\fR | \\fBuarena\\fR \\fIOBJECT\\fR \\fBhelp\\fR | \\fBuarena\\fR "
      "\\fIOBJECT COMMAND\\fR \\fB\\-\\-help\\fR\n";
  out += fmt::format(".SH DESCRIPTION\n{}\n", roff(kDescription));
  out += ".SH OPTIONS\n" + flags_section(global_flags());
  for (const Object& object : command_table()) {
    out += fmt::format(".SH UARENA {}\n{}.\n", roff(object.name), roff(object.summary));
    for (const Command& command : object.commands) out += command_section(object, command);
  }
  out += fmt::format(".SH JSON\n{}\n", fmt::format(kJson, kJsonVersion));
  out += fmt::format(".SH ENVIRONMENT\n{}", kEnvironment);
  out += fmt::format(".SH EXIT STATUS\n{}", kExitStatus);
  out += ".SH SEE ALSO\nuarenad(8)\n";
  return out;
}

}  // namespace uarena::cli
