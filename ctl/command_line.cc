#include "ctl/command_line.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "core/base/status.h"
#include "core/base/text.h"

namespace p2p::ctl {
namespace {

const Option kGlobalOptions[] = {
    {"--socket", "", "PATH", ""},
    {"--json", "", "", ""},
    {"--help", "-h", "", ""},
    {"--version", "", "", ""},
};

class Parser {
 public:
  Parser(const std::vector<Command>& commands, const std::vector<std::string>& words)
      : commands_(commands), words_(words) {}

  absl::StatusOr<Invocation> Parse() {
    for (; next_ < words_.size(); ++next_) {
      const std::string& word = words_[next_];
      if (!options_ended_ && word == "--") {
        options_ended_ = true;
      } else if (!options_ended_ && word.size() > 1 && word.front() == '-') {
        P2P_RETURN_IF_ERROR(TakeOption(word));
      } else {
        P2P_RETURN_IF_ERROR(TakeWord(word));
      }
    }
    P2P_RETURN_IF_ERROR(CheckWords());
    return std::move(invocation_);
  }

 private:
  absl::Status Wrong(absl::string_view problem) const {
    const Command* command = invocation_.command;
    return absl::InvalidArgumentError(absl::StrCat(
        problem, "; see p2pctl help", command == nullptr ? "" : absl::StrCat(" ", command->name)));
  }

  const Option* FindOption(absl::string_view name) const {
    for (const Option& option : kGlobalOptions) {
      if (name == option.name || (*option.short_name != '\0' && name == option.short_name)) {
        return &option;
      }
    }
    if (invocation_.command == nullptr) return nullptr;
    for (const Option& option : invocation_.command->options) {
      if (name == option.name || (*option.short_name != '\0' && name == option.short_name)) {
        return &option;
      }
    }
    return nullptr;
  }

  // "--name", "--name=VALUE", "--name VALUE", "-n", "-n VALUE" or "-nVALUE".
  absl::Status TakeOption(const std::string& word) {
    std::string name = word;
    absl::optional<std::string> value;
    if (absl::StartsWith(word, "--")) {
      const size_t equals = word.find('=');
      if (equals != std::string::npos) {
        name = word.substr(0, equals);
        value = word.substr(equals + 1);
      }
    } else if (word.size() > 2) {
      name = word.substr(0, 2);
      value = word.substr(2);
    }
    const Option* option = FindOption(name);
    if (option == nullptr) {
      return Wrong(absl::StrCat("there is no option ", Printable(name),
                                invocation_.command == nullptr ? " before the command" : ""));
    }
    if (*option->value == '\0') {
      if (value) return Wrong(absl::StrCat(name, " takes no value"));
      return Store(option->name, "");
    }
    if (!value) {
      if (next_ + 1 >= words_.size()) {
        return Wrong(absl::StrCat(name, " needs a value: ", option->value));
      }
      value = words_[++next_];
    }
    if (value->empty()) return Wrong(absl::StrCat(name, " must not be empty"));
    return Store(option->name, *value);
  }

  absl::Status Store(const std::string& name, const std::string& value) {
    if (name == "--socket") {
      invocation_.socket_path = value;
    } else if (name == "--json") {
      invocation_.json = true;
    } else if (name == "--help") {
      invocation_.help = true;
    } else if (name == "--version") {
      invocation_.version = true;
    } else if (!invocation_.arguments.options.emplace(name, value).second) {
      return Wrong(absl::StrCat(name, " was given twice"));
    }
    return absl::OkStatus();
  }

  absl::Status TakeWord(const std::string& word) {
    if (invocation_.command != nullptr) {
      invocation_.arguments.words.push_back(word);
      return absl::OkStatus();
    }
    invocation_.command = FindCommand(commands_, word);
    if (invocation_.command != nullptr) return absl::OkStatus();
    return Wrong(absl::StrCat("there is no command \"", Printable(word), "\""));
  }

  absl::Status CheckWords() const {
    const Command* command = invocation_.command;
    if (command == nullptr || invocation_.help) return absl::OkStatus();
    const std::vector<std::string>& words = invocation_.arguments.words;
    if (words.size() < command->least_words) {
      return Wrong(absl::StrCat(command->name, " needs ", command->words));
    }
    if (words.size() > command->most_words) {
      return Wrong(absl::StrCat(command->name, " does not take \"",
                                Printable(words[command->most_words]),
                                "\" (a name with spaces needs quotes)"));
    }
    for (const std::string& word : words) {
      if (word.empty()) return Wrong(absl::StrCat(command->words, " must not be empty"));
    }
    return absl::OkStatus();
  }

  const std::vector<Command>& commands_;
  const std::vector<std::string>& words_;
  size_t next_ = 0;
  bool options_ended_ = false;
  Invocation invocation_;
};

}  // namespace

std::string Arguments::Get(const std::string& option) const {
  const auto found = options.find(option);
  return found == options.end() ? std::string() : found->second;
}

const Command* FindCommand(const std::vector<Command>& commands, absl::string_view name) {
  for (const Command& command : commands) {
    if (name == command.name || (*command.alias != '\0' && name == command.alias)) return &command;
  }
  return nullptr;
}

absl::StatusOr<Invocation> ParseCommandLine(const std::vector<Command>& commands,
                                            const std::vector<std::string>& words) {
  return Parser(commands, words).Parse();
}

}  // namespace p2p::ctl
