// p2pctl's command line: the shape of a command, and words to an invocation. Pure; any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace p2p::ctl {

struct Option {
  const char* name;        // "--output"
  const char* short_name;  // "-o", or ""
  const char* value;       // what its value is called, "PATH"; "" for a flag
  const char* help;
};

struct Arguments {
  std::vector<std::string> words;              // what is not an option
  std::map<std::string, std::string> options;  // by long name; "" for a flag

  bool Has(const std::string& option) const { return options.count(option) != 0; }
  // "" when it was not given.
  std::string Get(const std::string& option) const;
};

// What every command gets.
struct Session {
  std::string socket_path;
  bool json = false;
};

struct Command {
  const char* name;
  const char* alias;  // another word for it, or ""
  const char* words;  // what follows it, as usage shows it: "SOURCE"
  size_t least_words;
  size_t most_words;
  std::vector<Option> options;
  const char* summary;   // one line, for the list of commands
  const char* details;   // whole lines
  const char* examples;  // whole lines
  // Returns the exit code.
  int (*run)(const Session& session, const Arguments& arguments);
};

struct Invocation {
  const Command* command = nullptr;  // null: none was given
  bool help = false;                 // --help
  bool version = false;              // --version
  bool json = false;
  std::string socket_path;  // "" when it was not given
  Arguments arguments;
};

// The command with that name or alias, or null.
const Command* FindCommand(const std::vector<Command>& commands, absl::string_view name);

// `words`: without the program's name. The options of all commands, --socket PATH, --json, --help
// and --version, may stand before and after the command; "--" ends the options. InvalidArgument:
// one line, with the help to read.
absl::StatusOr<Invocation> ParseCommandLine(const std::vector<Command>& commands,
                                            const std::vector<std::string>& words);

}  // namespace p2p::ctl
