#include "core/wire/tracker_messages.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/limits.h"
#include "core/wire/address_list.h"
#include "core/wire/fields.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace p2p::wire {
namespace {

using ::testing::HasSubstr;

const char kId[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

TrackerRequest Parsed(absl::string_view line) {
  TrackerRequest request;
  const auto fault = ParseTrackerRequest(line, &request);
  EXPECT_FALSE(fault.has_value()) << line << ": " << fault->error.text;
  return request;
}

RequestFault FaultOf(absl::string_view line) {
  TrackerRequest request;
  const auto fault = ParseTrackerRequest(line, &request);
  EXPECT_TRUE(fault.has_value()) << line;
  return fault.value_or(RequestFault());
}

int CodeOf(absl::string_view line) { return FaultOf(line).error.code; }

std::string RegisterName(absl::string_view name) {
  return absl::StrCat("REGISTER ", name, " 1 192.0.2.1:1");
}

TEST(TrackerLines, TakeTheFixedFieldsFromTheRightSoThatNamesMayHoldSpaces) {
  const auto request =
      absl::get<RegisterRequest>(Parsed("REGISTER my  file 7.txt 524289 192.0.2.1:9001"));
  EXPECT_EQ(request.name, "my  file 7.txt");
  EXPECT_EQ(request.size, ByteCount(524289));
  EXPECT_FALSE(request.content_id.has_value());
  EXPECT_EQ(request.address.ToString(), "192.0.2.1:9001");
}

TEST(TrackerLines, ReadEveryOtherVerb) {
  EXPECT_EQ(absl::get<LookupRequest>(Parsed("LOOKUP a b/c")).name, "a b/c");
  EXPECT_EQ(absl::get<UnregisterRequest>(Parsed("UNREGISTER [2001:db8::1]:1")).address.ToString(),
            "[2001:db8::1]:1");
  const std::string line = absl::StrCat("ANNOUNCE 0 ", kId, " 192.0.2.1:65535 +3");
  TrackerRequest request = Parsed(line);
  EXPECT_TRUE(HasPayload(line) && HasPayload("JOIN x") && !HasPayload("REGISTER a +3"));
  EXPECT_FALSE(TakePayload("a b", &request).has_value());
  const auto announce = absl::get<RegisterRequest>(request);
  EXPECT_EQ(announce.name, "a b");
  EXPECT_EQ(announce.content_id->Hex(), kId);
  EXPECT_EQ(TakePayload("a/../b", &request)->error.code, 422);
  EXPECT_EQ(absl::get<FindRequest>(Parsed("FIND a b")).name, "a b");
  EXPECT_EQ(absl::get<PeersRequest>(Parsed(absl::StrCat("PEERS ", kId))).content_id.Hex(), kId);
  const auto withdraw =
      absl::get<WithdrawRequest>(Parsed(absl::StrCat("WITHDRAW ", kId, " 192.0.2.1:9")));
  EXPECT_EQ(withdraw.content_id.Hex(), kId);
  EXPECT_EQ(withdraw.address.port, 9);
  const auto renew = absl::get<RenewRequest>(Parsed("RENEW 10000 192.0.2.1:9"));
  EXPECT_EQ(renew.count, 10'000u);
  EXPECT_EQ(renew.address.port, 9);
}

TEST(TrackerLines, IgnoreFeaturesAndWordsOfLaterVersions) {
  EXPECT_TRUE(absl::holds_alternative<HelloRequest>(Parsed("HELLO 3")));
  EXPECT_TRUE(absl::holds_alternative<HelloRequest>(Parsed("HELLO 3 zip=1 whatever")));
  Parsed(absl::StrCat("PEERS ", kId, " limit=3"));
  Parsed(absl::StrCat("WITHDRAW ", kId, " 192.0.2.1:9 soon"));
  Parsed("RENEW 1 192.0.2.1:9 soon");
  Parsed("STATS now");
  Parsed(absl::StrCat("ANNOUNCE 0 ", kId, " 192.0.2.1:9 whole color=red +3"));
  EXPECT_TRUE(absl::holds_alternative<HelloRequest>(Parsed("HELLO 2147483647")));
  for (const auto& [line, code] :
       std::vector<std::pair<const char*, int>>{{"HELLO", 400},
                                                {"HELLO two", 400},
                                                {"HELLO 2147483648", 400},
                                                {"HELLO 2", 426},
                                                {"HELLO 0 x", 426}}) {
    EXPECT_EQ(FaultOf(line).error.code, code) << line;
    EXPECT_EQ(FaultOf(line).kind, RequestFault::Kind::kHello) << line;
  }
}

TEST(TrackerLines, OfTheExtensionSkipThePartsOfAnAddress) {
  for (const char* address : {"192.0.2.1:9;id=ab", "192.0.2.1:9;tls;x=y", "192.0.2.1:9;"}) {
    const std::string line = absl::StrCat("ANNOUNCE 0 ", kId, " ", address, " +1");
    EXPECT_EQ(absl::get<RegisterRequest>(Parsed(line)).address.ToString(), "192.0.2.1:9");
    Parsed(absl::StrCat("WITHDRAW ", kId, " ", address));
    Parsed(absl::StrCat("RENEW 1 ", address));
    EXPECT_EQ(CodeOf(absl::StrCat("REGISTER f 1 ", address)), 403) << "the original knows none";
    EXPECT_EQ(CodeOf(absl::StrCat("UNREGISTER ", address)), 403);
  }
  EXPECT_EQ(CodeOf(absl::StrCat("RENEW 1 192.0.2.1:9;x=", std::string(250, 'y'))), 403);
}

TEST(TrackerLines, AreReadBackAsTheyWereFormatted) {
  const auto chomp = [](std::string line) {
    EXPECT_EQ(line.back(), '\n');
    line.pop_back();
    return line;
  };
  const ContentId id = *ContentIdFromHex(kId);
  const std::string announce = absl::StrCat("ANNOUNCE 5 ", kId, " 192.0.2.1:9 +3");
  EXPECT_EQ(FormatRegister("a b", ByteCount(5), id, /*partial=*/false, "192.0.2.1:9"),
            announce + "\na b");
  Parsed(announce);
  Parsed(
      chomp(FormatRegister("a b", ByteCount(5), absl::nullopt, /*partial=*/false, "192.0.2.1:9")));
  Parsed(chomp(FormatHelloRequest()));
  Parsed(chomp(FormatUnregister("192.0.2.1:9")));
  Parsed(chomp(FormatWithdraw(id, "192.0.2.1:9")));
  Parsed(chomp(FormatRenew(3, "192.0.2.1:9")));
  Parsed(chomp(FormatLookup("a b")));
  Parsed(chomp(FormatFind("a b")));
  Parsed(chomp(FormatPeers(id)));
}

TEST(TrackerLines, T01_RefusesLinesWithNothingInThem) {
  for (const char* line : {"", " ", "      "}) {
    const RequestFault fault = FaultOf(line);
    EXPECT_EQ(fault.error.code, 400) << '"' << line << '"';
    EXPECT_EQ(fault.kind, RequestFault::Kind::kMalformed);
  }
}

TEST(TrackerLines, T04_NamesTheVerbOrFieldThatIsWrong) {
  EXPECT_EQ(FaultOf("FETCH x").kind, RequestFault::Kind::kUnknownVerb);
  EXPECT_THAT(FaultOf("lookup x").error.text, HasSubstr("verb"));
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"REGISTER", "peer_address"},
      {"REGISTER ", "peer_address"},
      {"REGISTER name", "filename"},
      {"REGISTER 10 192.0.2.1:1", "filename"},
      {"REGISTER  10 192.0.2.1:1", "filename"},
      {"REGISTER name 10 192.0.2.1:1 more", "after peer_address"},
      {"REGISTER name 10 ", "peer_address"},
      {absl::StrCat("ANNOUNCE 10 ", kId, " 192.0.2.1:1"), "+<n>"},
      {absl::StrCat("JOIN 10 ", kId, " +4"), "peer_address"},
      {"LOOKUP", "filename"},
      {"LOOKUP ", "filename"},
      {"FIND", "filename"},
      {"UNREGISTER", "peer_address"},
      {"UNREGISTER 192.0.2.1:1 more", "after peer_address"},
      {"PEERS", "content_id"},
      {absl::StrCat("WITHDRAW ", kId), "peer_address"},
      {"RENEW", "count"},
      {"RENEW 1", "peer_address"},
  };
  for (const auto& [line, field] : cases) {
    EXPECT_EQ(CodeOf(line), 400) << line;
    EXPECT_THAT(FaultOf(line).error.text, HasSubstr(field)) << line;
  }
}

TEST(TrackerLines, T05_RefusesNamesThatLeaveTheShare) {
  for (const char* name : {"../x", "/etc/x", "a//b", ".", "..", "a/../b", "a/..", "a/", "./a"}) {
    EXPECT_EQ(CodeOf(RegisterName(name)), 422) << name;
    EXPECT_EQ(CodeOf(absl::StrCat("LOOKUP ", name)), 422) << name;
    EXPECT_EQ(CodeOf(absl::StrCat("FIND ", name)), 422) << name;
  }
  Parsed(RegisterName("a..b/...c/.d"));
}

TEST(TrackerLines, T06_RefusesCharactersThatDeceiveAndReflectsNone) {
  const std::string bad[] = {std::string("a\0b", 3),
                             "a\rb",
                             "a\x1b[31m",
                             "a\x7f",
                             "a\xe2\x80\xae"
                             "b",
                             "a\xff",
                             "a\xc0\xaf",
                             "a\xe0\x80\xaf",
                             "a\xed\xa0\x80",
                             "a\xf5\x80\x80\x80",
                             "a\xc3"};
  for (const std::string& name : bad) {
    const RequestFault fault = FaultOf(RegisterName(name));
    EXPECT_EQ(fault.error.code, 422);
    EXPECT_THAT(fault.error.text, ::testing::Not(HasSubstr(name)));
    for (char c : FormatError(fault.error.code, fault.error.text)) {
      EXPECT_TRUE((c >= 0x20 && c < 0x7f) || c == '\n');
    }
  }
}

TEST(TrackerLines, T07_EscapeWhatErrorsRepeat) {
  EXPECT_EQ(FormatError(400, "bad \x1b[2J\nERROR"), "ERROR 400 bad \\x1b[2J\\x0aERROR\n");
  EXPECT_LE(FormatError(400, std::string(10'000, 'x')).size(), limits::kMaxLineBytes);
}

TEST(TrackerLines, T08_HoldsTheLimitsOfNamesExactly) {
  const std::string component(255, 'c');
  Parsed(RegisterName(std::string(254, 'c')));
  Parsed(RegisterName(component));
  EXPECT_EQ(CodeOf(RegisterName(component + "c")), 422);
  const std::string three = absl::StrCat(component, "/", component, "/", component, "/");
  ASSERT_EQ(three.size(), 768u);
  Parsed(RegisterName(absl::StrCat(three, std::string(253, 'd'), "/e")));  // 1,023 bytes
  Parsed(RegisterName(absl::StrCat(three, std::string(254, 'd'), "/e")));  // 1,024 bytes
  EXPECT_EQ(CodeOf(RegisterName(absl::StrCat(three, std::string(254, 'd'), "/ee"))), 422);
  EXPECT_EQ(
      CodeOf(RegisterName(absl::StrJoin(std::vector<char>(10'000, 'a'), "/",
                                        [](std::string* out, char c) { out->push_back(c); }))),
      422);
}

TEST(TrackerLines, T09_TakesOnlyCanonicalSizesUpToTheLimit) {
  const auto line = [](absl::string_view size) {
    return absl::StrCat("REGISTER name ", size, " 192.0.2.1:1");
  };
  for (const char* size : {"0", "1", "1125899906842623", "1125899906842624"}) {
    EXPECT_EQ(absl::get<RegisterRequest>(Parsed(line(size))).size.value(), std::stoull(size));
  }
  for (const char* size :
       {"-1", "+5", "", " ", "1e9", "0x10", "007", "1125899906842625", "9223372036854775808",
        "18446744073709551616", "9999999999999999999999999999999999999999"}) {
    EXPECT_EQ(CodeOf(line(size)), 422) << size;
    EXPECT_THAT(FaultOf(line(size)).error.text, HasSubstr("filesize"));
  }
}

TEST(TrackerLines, T13_RefusesAddressesThatAreNoLiterals) {
  for (const char* address : {"22",
                              "localhost:80",
                              "example.org:80",
                              "192.0.2.1",
                              "192.0.2.1:",
                              "192.0.2.1:0",
                              "192.0.2.1:65536",
                              "192.0.2.1:-1",
                              "192.0.2.1:080",
                              "192.0.2.1:80@x",
                              "192.0.2.01:80",
                              "192.0.2:80",
                              "3221225985:80",
                              "0x7f.1:80",
                              "2001:db8::1:80",
                              "[2001:db8::1]",
                              "[]:80",
                              "[::ffff:192.0.2.1]:80",
                              "[fe80::1%eth0]:80",
                              "[192.0.2.1]:80",
                              ":80"}) {
    EXPECT_EQ(CodeOf(absl::StrCat("REGISTER name 1 ", address)), 403) << address;
    EXPECT_EQ(CodeOf(absl::StrCat("UNREGISTER ", address)), 403) << address;
  }
  EXPECT_FALSE(PeerAddress::Parse(absl::string_view("192.0.2.1\0:80", 13)).has_value());
  EXPECT_TRUE(PeerAddress::Parse("192.0.2.1:1").has_value());
  EXPECT_TRUE(PeerAddress::Parse("192.0.2.1:65535").has_value());
}

TEST(TrackerLines, T08_TakeANameAsPayloadWithinTheLimits) {
  for (const char* bytes : {"0", "1025", "99999999999999999999"}) {
    EXPECT_EQ(CodeOf(absl::StrCat("ANNOUNCE 0 ", kId, " 192.0.2.1:9 +", bytes)), 422) << bytes;
  }
  Parsed(absl::StrCat("ANNOUNCE 0 ", kId, " 192.0.2.1:9 +1024"));
}

TEST(TrackerLines, T25_TellOtherProtocolsFromMistakes) {
  const std::string hello = std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  for (const std::string& line :
       {hello, std::string("GET / HTTP/1.1"), std::string("PRI * HTTP/2.0"),
        std::string("\x80\x9f\xff random"), std::string("\0\0\0\0", 4)}) {
    const RequestFault fault = FaultOf(line);
    EXPECT_EQ(fault.kind, RequestFault::Kind::kForeign);
    EXPECT_EQ(fault.error.code, 400);
  }
  EXPECT_EQ(FaultOf("Hallo, Bärbel").kind, RequestFault::Kind::kUnknownVerb);
}

TEST(TrackerLines, AnnounceTheirPayloadWithTheLastWord) {
  EXPECT_EQ(PayloadBytes("FROB a +17"), 17u);
  EXPECT_EQ(PayloadBytes("+0"), 0u);
  EXPECT_EQ(PayloadBytes("FROB +17 a"), absl::nullopt);
  EXPECT_EQ(PayloadBytes("FROB +"), absl::nullopt);
  EXPECT_EQ(PayloadBytes("FROB +1x"), absl::nullopt);
  EXPECT_EQ(PayloadBytes("FROB +99999999999999999999999"), SIZE_MAX);
}

TEST(PeerAddresses, TellWhereNoPeerCanBe) {
  const auto why = [](absl::string_view text) {
    return PeerAddress::Parse(text)->ip.WhyUnusable();
  };
  for (const char* text : {"0.0.0.0:1", "0.1.2.3:1", "169.254.1.1:1", "224.0.0.1:1",
                           "239.255.255.255:1", "255.255.255.255:1", "240.0.0.1:1", "[::]:1",
                           "[fe80::1]:1", "[febf::1]:1", "[ff02::1]:1"}) {
    EXPECT_NE(why(text), nullptr) << text;
  }
  for (const char* text : {"10.0.0.1:1", "223.255.255.255:1", "169.253.1.1:1", "127.0.0.1:1",
                           "[::1]:1", "[fec0::1]:1", "[2001:db8::1]:1"}) {
    EXPECT_EQ(why(text), nullptr) << text;
  }
  EXPECT_TRUE(PeerAddress::Parse("127.9.9.9:1")->ip.IsLoopback());
  EXPECT_TRUE(PeerAddress::Parse("[::1]:1")->ip.IsLoopback());
  EXPECT_FALSE(PeerAddress::Parse("128.0.0.1:1")->ip.IsLoopback());
}

// --- Answers

PeerList ListOf(int count) {
  PeerList list;
  list.size = ByteCount(7);
  for (int i = 0; i < count; ++i) {
    list.peers.push_back(*PeerAddress::Parse(absl::StrCat("192.0.2.", i % 250, ":", 1000 + i)));
  }
  return list;
}

TEST(TrackerAnswers, AreReadBackAsTheyWereFormatted) {
  EXPECT_EQ(FormatOk(120), "OK 120\n");
  EXPECT_EQ(*ParseOk("OK 120"), 120u);
  EXPECT_EQ(FormatPeerList(ListOf(2)), "OK 7 2 192.0.2.0:1000 192.0.2.1:1001\n");
  const PeerList read = *ParsePeerList("OK 7 2 192.0.2.0:1000 192.0.2.1:1001");
  EXPECT_EQ(read.size, ByteCount(7));
  EXPECT_EQ(read.peers, ListOf(2).peers);
  EXPECT_TRUE(ParsePeerList("OK 0 0")->peers.empty());

  const std::string found =
      FormatFound({{*ContentIdFromHex(kId), ListOf(1)}, {absl::nullopt, ListOf(0)}});
  const std::string payload = absl::StrCat(kId, " 7 1 192.0.2.0:1000\n- 7 0\n");
  EXPECT_EQ(found, absl::StrCat("FOUND 2 +", payload.size(), "\n", payload));
  const auto header = ParseFoundHeader(found.substr(0, found.find('\n')));
  const auto versions = ParseFoundPayload(*header, payload);
  ASSERT_EQ(versions->size(), 2u);
  EXPECT_EQ((*versions)[0].content_id->Hex(), kId);
  EXPECT_FALSE((*versions)[1].content_id.has_value());
  EXPECT_EQ(FormatFound({}), "FOUND 0 +0\n");
}

TEST(TrackerAnswers, TellTheVersionAndWhereTheClientIsSeen) {
  EXPECT_EQ(FormatHelloAnswer("t/1", absl::nullopt), "HELLO 3 agent=t/1\n");
  EXPECT_EQ(FormatHelloAnswer("t/1", PeerAddress::Parse("192.0.2.7:51324")),
            "HELLO 3 agent=t/1 you=192.0.2.7:51324\n");
  const auto answer = ParseHelloAnswer("HELLO 4 zip agent=t/1 you=192.0.2.7:9;x=y");
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->version, 4u);
  EXPECT_EQ(answer->you->ToString(), "192.0.2.7:9");
  EXPECT_EQ(ParseHelloAnswer("HELLO 2 p2p-tracker/0")->version, 2u);
  EXPECT_FALSE(ParseHelloAnswer("HELLO 3 you=nowhere")->you.has_value());
  for (const char* line : {"HELLO", "HELLO x", "HELLOS 3", "ERROR 400 HELLO 3", ""}) {
    EXPECT_FALSE(ParseHelloAnswer(line).has_value()) << line;
  }
}

TEST(AddressLists, SkipPartsAndFormsOfLaterVersionsWhichCountAllTheSame) {
  const AddressList list = ParseAddressList(
      "192.0.2.1:9;id=ab;relay=192.0.2.9:9 quic:192.0.2.2:9 [2001:db8::1]:9;x 192.0.2.3:9?x "
      "example.org:80 192.0.2.4:0 192.0.2.5:9");
  EXPECT_EQ(list.count, 7u);
  ASSERT_EQ(list.addresses.size(), 3u);
  EXPECT_EQ(list.addresses[0].ToString(), "192.0.2.1:9");
  EXPECT_EQ(list.addresses[1].ToString(), "[2001:db8::1]:9");
  EXPECT_EQ(list.addresses[2].ToString(), "192.0.2.5:9");
  EXPECT_EQ(ParseAddressList("").count, 0u);
  EXPECT_EQ(FormatAddressList({"192.0.2.1:9", "[2001:db8::1]:9"}), "192.0.2.1:9 [2001:db8::1]:9");
}

TEST(AddressLists, C12_HaveAtMost64AddressesOfAtMost255Bytes) {
  std::string text = "192.0.2.1:9";
  for (int i = 0; i < 99; ++i) text += " 192.0.2.1:9";
  EXPECT_EQ(ParseAddressList(text).count, 100u);
  EXPECT_EQ(ParseAddressList(text).addresses.size(), 64u);
  const std::string start = "192.0.2.1:9;x=";
  EXPECT_TRUE(ParseExtendedAddress(start + std::string(255 - start.size(), 'y')).has_value());
  EXPECT_FALSE(ParseExtendedAddress(start + std::string(256 - start.size(), 'y')).has_value());
}

TEST(TrackerAnswers, T18_StayWithinOneLineWithTheLongestAddresses) {
  PeerList list;
  list.size = ByteCount(limits::kMaxFileBytes);
  for (int i = 0; i < limits::kMaxPeersPerAnswer; ++i) {
    list.peers.push_back(*PeerAddress::Parse("[2001:1db8:1111:2222:3333:4444:5555:6666]:65535"));
  }
  EXPECT_LE(FormatPeerList(list).size(), limits::kMaxLineBytes);
  EXPECT_TRUE(ParsePeerList(FormatPeerList(list).substr(0, FormatPeerList(list).size() - 1)).ok());
}

TEST(TrackerAnswers, C12_KeepAtMost64PeersOfAnAnswer) {
  for (int count : {63, 64, 65, 180}) {
    std::string line = FormatPeerList(ListOf(count));
    line.pop_back();
    EXPECT_EQ(ParsePeerList(line)->peers.size(), static_cast<size_t>(std::min(count, 64)));
  }
}

TEST(TrackerAnswers, C12_AreRefusedWhenTheirCountsDoNotMatch) {
  for (const char* line : {"OK", "OK 7", "OK 7 1", "OK 7 2 192.0.2.0:1", "OK 7 0 192.0.2.0:1",
                           "OK 7 -1", "OK 7 4294967296 192.0.2.0:1", "OK 1125899906842625 0",
                           "OK x 0", "ok 7 0", "", "HTTP/1.1 400 Bad Request"}) {
    EXPECT_FALSE(ParsePeerList(line).ok()) << line;
  }
  for (const char* line : {"OK", "OK ", "OK x", "OK -1", "OK 99999999999999999999", "OKAY 1"}) {
    EXPECT_FALSE(ParseOk(line).ok()) << line;
  }
}

TEST(TrackerAnswers, C12_LeaveOutAddressesThatAreNoLiterals) {
  const PeerList list = *ParsePeerList("OK 7 3 evil.example:80 192.0.2.1:0 192.0.2.1:9");
  ASSERT_EQ(list.peers.size(), 1u);
  EXPECT_EQ(list.peers[0].ToString(), "192.0.2.1:9");
}

TEST(TrackerAnswers, T12_NeverSizeAnythingByAStatedNumber) {
  EXPECT_FALSE(ParseFoundHeader("FOUND 17 +0").ok());
  EXPECT_TRUE(ParseFoundHeader("FOUND 16 +266240").ok());
  EXPECT_FALSE(ParseFoundHeader("FOUND 16 +266241").ok());
  EXPECT_FALSE(ParseFoundHeader("FOUND 0 +1").ok());
  EXPECT_FALSE(ParseFoundHeader("FOUND 2147483648 +2147483648").ok());
  EXPECT_FALSE(ParseFoundHeader("FOUND 1 +99999999999999999999").ok());
  EXPECT_FALSE(ParseFoundHeader("FOUND 1").ok());
  EXPECT_FALSE(ParseFoundPayload({1, 0}, "").ok());
  EXPECT_FALSE(ParseFoundPayload({1, 0}, "- 7 0\n- 7 0\n").ok());
  EXPECT_FALSE(ParseFoundPayload({1, 0}, "- 7 0").ok());
  EXPECT_FALSE(ParseFoundPayload({1, 0}, "abc 7 0\n").ok());
  EXPECT_FALSE(ParseFoundPayload({1, 0}, "- 7 2147483648\n").ok());
}

TEST(TrackerAnswers, TellErrorsWithAndWithoutANumber) {
  EXPECT_EQ(ParseErrorLine("ERROR 404 not here")->code, 404);
  EXPECT_EQ(ParseErrorLine("ERROR 404 not here")->text, "not here");
  EXPECT_EQ(ParseErrorLine("ERROR 404")->code, 404);
  EXPECT_EQ(ParseErrorLine("ERROR File not found")->code, 400);
  EXPECT_EQ(ParseErrorLine("ERROR File not found")->text, "File not found");
  EXPECT_EQ(ParseErrorLine("ERROR")->code, 400);
  EXPECT_EQ(ParseErrorLine("ERROR 5 x\x1b")->text, "5 x\\x1b");
  EXPECT_FALSE(ParseErrorLine("ERRORS").has_value());
  EXPECT_FALSE(ParseErrorLine("OK 1").has_value());
}

TEST(TrackerStats, WritesFiguresAndReadsThoseOfLaterVersionsToo) {
  TrackerRequest request;
  EXPECT_FALSE(ParseTrackerRequest("STATS", &request).has_value());
  EXPECT_TRUE(absl::holds_alternative<StatsRequest>(request));
  EXPECT_FALSE(ParseTrackerRequest("STATS now", &request).has_value()) << "more words mean nothing";
  EXPECT_EQ(FormatStatsRequest(), "STATS\n");
  EXPECT_EQ(FormatStats({{"a", "1"}, {"b", "x=y"}}), "OK a=1 b=x=y\n");
  EXPECT_EQ(*ParseStats("OK a=1 word b=x=y"), (Figures{{"a", "1"}, {"b", "x=y"}}));
  EXPECT_EQ(*ParseStats("OK"), Figures{});
  EXPECT_FALSE(ParseStats("HELLO 3").ok());
}

}  // namespace
}  // namespace p2p::wire
