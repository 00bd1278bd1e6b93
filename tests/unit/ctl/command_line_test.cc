#include "ctl/command_line.h"

#include "ctl/commands.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::StatusOr<Invocation> Parse(const std::vector<std::string>& words) {
  return ParseCommandLine(Commands(), words);
}
std::string Problem(const std::vector<std::string>& words) {
  return std::string(Parse(words).status().message());
}

TEST(CommandLine, TakesGlobalOptionsBeforeAndAfterTheCommand) {
  for (const auto& words :
       std::vector<std::vector<std::string>>{{"--socket", "/s", "--json", "get", "x"},
                                             {"get", "x", "--json", "--socket=/s"},
                                             {"--json", "get", "--socket", "/s", "x"}}) {
    const auto invocation = Parse(words);
    ASSERT_TRUE(invocation.ok()) << invocation.status();
    EXPECT_STREQ(invocation->command->name, "get");
    EXPECT_TRUE(invocation->json);
    EXPECT_EQ(invocation->socket_path, "/s");
    EXPECT_THAT(invocation->arguments.words, ElementsAre("x"));
  }
}

TEST(CommandLine, TakesValuesInEveryUsualForm) {
  for (const auto& words :
       std::vector<std::vector<std::string>>{{"get", "x", "-o", "out/"},
                                             {"get", "-oout/", "x"},
                                             {"get", "x", "--output=out/"},
                                             {"get", "--output", "out/", "x"}}) {
    const auto invocation = Parse(words);
    ASSERT_TRUE(invocation.ok()) << invocation.status();
    EXPECT_EQ(invocation->arguments.Get("--output"), "out/");
  }
}

TEST(CommandLine, DownloadIsAnotherWordForGet) {
  EXPECT_STREQ(Parse({"download", "x"})->command->name, "get");
}

TEST(CommandLine, TwoDashesEndTheOptions) {
  const auto invocation = Parse({"get", "--detach", "--", "--json"});
  ASSERT_TRUE(invocation.ok());
  EXPECT_FALSE(invocation->json);
  EXPECT_THAT(invocation->arguments.words, ElementsAre("--json"));
}

TEST(CommandLine, AValueMayBeginWithADash) {
  EXPECT_EQ(Parse({"share", "x", "--name", "-n"})->arguments.Get("--name"), "-n");
}

TEST(CommandLine, ALoneDashIsAWord) {
  EXPECT_THAT(Parse({"share", "-"})->arguments.words, ElementsAre("-"));
}

TEST(CommandLine, WrongUseSaysWhatIsWrongAndWhereTheHelpIs) {
  EXPECT_EQ(Problem({"get"}), "get needs SOURCE; see p2pctl help get");
  EXPECT_THAT(Problem({"get", "a", "b"}), HasSubstr("\"b\""));
  EXPECT_THAT(Problem({"frobnicate"}), HasSubstr("there is no command \"frobnicate\""));
  EXPECT_THAT(Problem({"list", "--detach"}), HasSubstr("see p2pctl help list"));
  EXPECT_THAT(Problem({"get", "x", "-o"}), HasSubstr("needs a value: PATH"));
  EXPECT_THAT(Problem({"get", "x", "-o", ""}), HasSubstr("must not be empty"));
  EXPECT_THAT(Problem({"get", "x", "--detach=1"}), HasSubstr("takes no value"));
  EXPECT_THAT(Problem({"get", "x", "-o", "a", "-o", "b"}), HasSubstr("twice"));
  EXPECT_THAT(Problem({"get", ""}), HasSubstr("must not be empty"));
  EXPECT_THAT(Problem({"--detach", "get", "x"}), HasSubstr("before the command"));
  EXPECT_THAT(Problem({"--socket"}), HasSubstr("needs a value"));
}

TEST(CommandLine, T07_WhatWasTypedIsPrintableInTheAnswer) {
  EXPECT_THAT(Problem({"\x1b[2J"}), HasSubstr("\\x1b[2J"));
}

TEST(CommandLine, HelpNeedsNoArguments) {
  EXPECT_TRUE(Parse({"get", "--help"})->help);
  EXPECT_TRUE(Parse({"-h"})->help);
  EXPECT_EQ(Parse({})->command, nullptr);
}

TEST(Commands, EachIsDescribedWithAnExampleOfItself) {
  for (const Command& command : Commands()) {
    const std::string help = HelpText(&command);
    EXPECT_THAT(help, HasSubstr(std::string("usage: p2pctl ") + command.name));
    EXPECT_THAT(help.substr(help.find("examples:")), HasSubstr(command.name));
    for (const Option& option : command.options) EXPECT_THAT(help, HasSubstr(option.name));
    EXPECT_THAT(HelpText(nullptr), HasSubstr(command.summary));
  }
}

TEST(Commands, AreThoseThatWerePromised) {
  std::vector<std::string> names;
  for (const Command& command : Commands()) names.push_back(command.name);
  EXPECT_THAT(names, ElementsAre("share", "get", "list", "status", "peers", "watch", "pause",
                                 "resume", "remove", "verify", "stop", "version", "help"));
}

}  // namespace
}  // namespace p2p::ctl
