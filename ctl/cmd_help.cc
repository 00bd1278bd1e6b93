// p2pctl help: all commands, or one.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/base/socket_path.h"
#include "core/base/text.h"
#include "ctl/commands.h"
#include "ctl/exit_codes.h"
#include "ctl/output.h"

namespace p2p::ctl {
namespace {

std::string Usage(const Command& command) {
  std::string line = absl::StrCat("p2pctl ", command.name);
  if (*command.words != '\0') absl::StrAppend(&line, " ", command.words);
  for (const Option& option : command.options) {
    absl::StrAppend(&line, " [", *option.short_name == '\0' ? option.name : option.short_name,
                    *option.value == '\0' ? "" : " ", option.value, "]");
  }
  return line;
}

std::string OptionLine(const Option& option) {
  std::string left = option.name;
  if (*option.short_name != '\0') left = absl::StrCat(option.short_name, ", ", left);
  if (*option.value != '\0') absl::StrAppend(&left, " ", option.value);
  return absl::StrFormat("  %-20s  %s\n", left, option.help);
}

std::string CommandHelp(const Command& command) {
  std::string out =
      absl::StrCat("usage: ", Usage(command), "\n\n", command.name, ": ", command.summary, "\n");
  if (*command.alias != '\0') absl::StrAppend(&out, command.alias, " is another word for it.\n");
  if (*command.details != '\0') absl::StrAppend(&out, "\n", command.details);
  if (!command.options.empty()) absl::StrAppend(&out, "\noptions:\n");
  for (const Option& option : command.options) absl::StrAppend(&out, OptionLine(option));
  absl::StrAppend(&out, "\nexamples:\n");
  for (absl::string_view line : absl::StrSplit(command.examples, '\n', absl::SkipEmpty())) {
    absl::StrAppend(&out, "  ", line, "\n");
  }
  return out;
}

std::string AllHelp() {
  std::string out =
      "p2pctl tells p2pd, the daemon on this host, what to share and what to get.\n\n"
      "usage: p2pctl [--socket PATH] [--json] COMMAND\n\ncommands:\n";
  for (const Command& command : Commands()) {
    absl::StrAppend(
        &out, absl::StrFormat("  %-14s  %s\n",
                              absl::StrCat(command.name, *command.words ? " " : "", command.words),
                              command.summary));
  }
  absl::StrAppend(
      &out,
      "\noptions, before or after the command:\n"
      "  --socket PATH   the daemon's socket; else $P2P_SOCKET, ",
      kSystemSocketPath,
      ",\n"
      "                  $XDG_RUNTIME_DIR/p2pd.sock or /tmp/p2pd-UID/p2pd.sock: the first\n"
      "                  that can be there\n"
      "  --json          one JSON object a line, for scripts\n"
      "  --              what follows is no option: p2pctl get -- -odd-name-\n"
      "\n"
      "exit codes: 0 done, 1 refused or failed (the reason is on stderr), 2 wrong usage,\n"
      "3 refused because nothing would verify it, 65 the daemon is another version,\n"
      "69 no daemon is running, 77 not permitted, 130 Ctrl-C\n"
      "\n"
      "p2pctl help COMMAND describes one, with examples.\n");
  return out;
}

}  // namespace

std::string HelpText(const Command* command) {
  return command == nullptr ? AllHelp() : CommandHelp(*command);
}

int RunHelp(const Session&, const Arguments& arguments) {
  if (arguments.words.empty()) {
    Print(HelpText(nullptr));
    return kDone;
  }
  const Command* command = FindCommand(Commands(), arguments.words[0]);
  if (command == nullptr) {
    Complain(absl::StrCat("there is no command \"", Printable(arguments.words[0]),
                          "\"; see p2pctl help"));
    return kUsage;
  }
  Print(HelpText(command));
  return kDone;
}

}  // namespace p2p::ctl
