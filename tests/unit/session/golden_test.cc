// Replays the conversations of test_files/wire against a session in the place of each side. The
// format of the files is told in their README.md.
#include <dirent.h>

#include <fstream>
#include <sstream>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/wire/original_messages.h"
#include "core/wire/peer_messages.h"
#include "gmock/gmock.h"
#include "tests/unit/session/fake_share.h"

namespace p2p::session {
namespace {

struct Item {
  char side = 'D';
  std::string bytes;  // a line with its LF, or all payload that follows it
  bool is_line = false;
  bool ends = false;
};

struct Golden {
  std::string content = "hello.txt";
  bool original = false;
  bool replay_accepter = true;
  bool replay_dialler = true;
  absl::optional<std::vector<uint32_t>> accepter_has;
  absl::optional<std::vector<uint32_t>> dialler_has;
  std::vector<ChunkPart> accepter_leaves;
  std::vector<ChunkPart> dialler_leaves;
  std::vector<Item> items;
};

std::vector<uint32_t> ReadNumbers(absl::string_view text) {
  std::vector<uint32_t> numbers;
  for (absl::string_view word : absl::StrSplit(text, ' ', absl::SkipEmpty())) {
    numbers.emplace_back();
    EXPECT_TRUE(absl::SimpleAtoi(word, &numbers.back())) << word;
  }
  return numbers;
}

ChunkPart ReadLeaves(absl::string_view text) {
  const std::vector<uint32_t> numbers = ReadNumbers(text);
  return {ChunkIndex(numbers.at(0)), numbers.at(1), numbers.at(2)};
}

std::string ReadPayload(absl::string_view text) {
  if (absl::ConsumePrefix(&text, "text ")) return std::string(text);
  if (absl::ConsumePrefix(&text, "hex ")) return absl::HexStringToBytes(text);
  EXPECT_TRUE(absl::ConsumePrefix(&text, "pattern ")) << text;
  const std::vector<uint32_t> numbers = ReadNumbers(text);
  return Pattern(numbers.at(1), numbers.at(0));
}

bool ReadItem(absl::string_view line, Golden* golden) {
  if (line.size() < 2 || (line[0] != 'A' && line[0] != 'D')) return false;
  Item item;
  item.side = line[0];
  absl::string_view rest = line.substr(1);
  if (rest == " ends") {
    item.ends = true;
  } else if (absl::ConsumePrefix(&rest, ": ")) {
    item.is_line = true;
    item.bytes = absl::StrCat(rest, "\n");
  } else if (absl::ConsumePrefix(&rest, "+ ")) {
    item.bytes = ReadPayload(rest);
  } else {
    return false;
  }
  golden->items.push_back(std::move(item));
  return true;
}

Golden ReadGolden(const std::string& path) {
  Golden golden;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    absl::string_view rest = line;
    if (rest.empty() || rest[0] == '#' || ReadItem(rest, &golden)) continue;
    if (absl::ConsumePrefix(&rest, "content ")) {
      golden.content = std::string(rest);
    } else if (rest == "original") {
      golden.original = true;
    } else if (rest == "only accepted") {
      golden.replay_dialler = false;
    } else if (rest == "only dialled") {
      golden.replay_accepter = false;
    } else if (absl::ConsumePrefix(&rest, "accepter has leaves ")) {
      golden.accepter_leaves.push_back(ReadLeaves(rest));
    } else if (absl::ConsumePrefix(&rest, "dialler has leaves ")) {
      golden.dialler_leaves.push_back(ReadLeaves(rest));
    } else if (absl::ConsumePrefix(&rest, "accepter has")) {
      golden.accepter_has = ReadNumbers(rest);
    } else if (absl::ConsumePrefix(&rest, "dialler has")) {
      golden.dialler_has = ReadNumbers(rest);
    } else {
      ADD_FAILURE() << path << ": " << line;
    }
  }
  EXPECT_FALSE(golden.items.empty()) << path;
  return golden;
}

std::shared_ptr<const TestContent> ContentOf(const std::string& name) {
  if (name == "hello.txt") return std::make_shared<TestContent>(name, "Hello, peers!\n");
  return std::make_shared<TestContent>(name, Pattern(2 * limits::kChunkBytes + 1));
}

// Plays one side with a session, the other from the file.
class Replay {
 public:
  Replay(const Golden& golden, char side)
      : golden_(golden),
        side_(side),
        share_(ContentOf(golden.content), side == 'A'),
        harness_(Options(golden, side)) {
    const auto& has = side == 'A' ? golden.accepter_has : golden.dialler_has;
    if (has) {
      share_.have.Clear();
      for (uint32_t chunk : *has) share_.have.Add(ChunkIndex(chunk));
      share_.knows_manifest = !has->empty();
    }
    for (const ChunkPart& part : side == 'A' ? golden.accepter_leaves : golden.dialler_leaves) {
      share_.Learn(part);
      share_.knows_manifest = true;
    }
    if (share_.knows_manifest) harness_.session.SetChunkCount(share_.content->chunk_count());
  }

  void Run() {
    for (const Item& item : golden_.items) {
      if (item.side == side_) {
        Say(item);
      } else if (item.ends) {
        harness_.EndOfStream();
        share_.Answer(&harness_);
      } else {
        harness_.Feed(item.bytes);
        share_.Answer(&harness_);
      }
      if (::testing::Test::HasFailure()) return;
    }
    EXPECT_EQ(Rest(), "") << "said more than the file has";
  }

 private:
  static PeerSessionOptions Options(const Golden& golden, char side) {
    PeerSessionOptions options;
    options.dialled = side == 'D';
    options.original = options.dialled && golden.original;
    options.self = TestPeerId(side == 'D' ? 0x11 : 0x22);
    options.listen_port = 9001;
    options.agent = "p2pd/0.1.0";
    return options;
  }

  std::string Rest() {
    said_ += harness_.Said();
    return said_.substr(0, 200);
  }

  // What the file has next of our side: it was said already, or it is ours to begin.
  void Say(const Item& item) {
    if (item.ends) {
      EXPECT_TRUE(harness_.session.ended());
      return;
    }
    if (Rest().empty() && item.is_line) Command(absl::StripSuffix(item.bytes, "\n"));
    Rest();
    ASSERT_TRUE(absl::StartsWith(said_, item.bytes))
        << "expected " << item.bytes.substr(0, 200) << " but said " << said_.substr(0, 200);
    said_.erase(0, item.bytes.size());
  }

  void Command(absl::string_view line) {
    const auto request = wire::peer::ParseOriginalRequest(line);
    if (const auto* chunk = absl::get_if<wire::peer::OriginalRequest>(&request)) {
      const uint32_t index = static_cast<uint32_t>(chunk->chunk_id);
      const bool known = index < share_.content->chunk_count();
      const size_t length = known ? share_.content->chunks[index].size() : 1;
      return harness_.session.RequestOriginalChunk(chunk->name, ChunkIndex(index),
                                                   static_cast<uint32_t>(length), harness_.now);
    }
    const absl::StatusOr<wire::peer::Message> message = wire::peer::Parse(line);
    ASSERT_TRUE(message.ok()) << line;
    absl::visit([&](const auto& m) { Command(m); }, *message);
  }

  void Command(const wire::peer::Open& m) { harness_.session.Open(m.content_id); }
  void Command(const wire::peer::Which& m) { harness_.session.AskWhich(m.name); }
  void Command(const wire::peer::GetManifest& m) { harness_.session.AskManifest(m.max_hashes); }
  void Command(const wire::peer::GetHashes& m) { harness_.session.AskHashes(m.file, m.first); }
  void Command(const wire::peer::Subscribe&) {
    harness_.session.SetChunkCount(share_.content->chunk_count());
    harness_.session.Subscribe();
  }
  void Command(const wire::peer::GetPeers&) { harness_.session.AskPeers(); }
  void Command(const wire::peer::Have& m) { harness_.session.SendHave(m.first, m.count); }
  void Command(const wire::peer::Lost& m) { harness_.session.SendLost(m.first, m.count); }
  void Command(const wire::peer::Request& m) {
    std::vector<uint32_t> lengths;
    for (uint32_t i = m.first.value(); i < m.first.value() + m.count; ++i) {
      const bool known = i < share_.content->chunk_count();
      lengths.push_back(known ? static_cast<uint32_t>(share_.content->chunks[i].size()) : 1);
    }
    harness_.session.RequestChunks(m.first, lengths, harness_.now);
  }
  void Command(const wire::peer::HaveLeaves& m) { harness_.session.SendHaveLeaves(m.part); }
  void Command(const wire::peer::RequestLeaves& m) {
    const size_t length = share_.content->BytesOf(m.part).size();
    harness_.session.RequestLeaves(m.part, std::max(1u, static_cast<uint32_t>(length)),
                                   harness_.now);
  }
  void Command(const wire::peer::CancelLeaves& m) { harness_.session.Cancel(m.part); }
  template <typename T>
  void Command(const T& m) {
    ADD_FAILURE() << "this side answers nothing here";
    (void)m;
  }

  const Golden& golden_;
  const char side_;
  FakeShare share_;
  Harness harness_;
  std::string said_;
};

std::vector<std::string> GoldenFiles() {
  std::vector<std::string> files;
  DIR* directory = opendir(P2P_WIRE_FILES);
  if (directory == nullptr) return files;
  while (const dirent* entry = readdir(directory)) {
    if (absl::EndsWith(entry->d_name, ".txt")) files.emplace_back(entry->d_name);
  }
  closedir(directory);
  std::sort(files.begin(), files.end());
  return files;
}

TEST(GoldenConversations, AreThere) { EXPECT_GE(GoldenFiles().size(), 10u); }

TEST(GoldenConversations, AreWhatASessionSaysInThePlaceOfTheSideThatAccepted) {
  for (const std::string& file : GoldenFiles()) {
    SCOPED_TRACE(file);
    const Golden golden = ReadGolden(absl::StrCat(P2P_WIRE_FILES, "/", file));
    if (golden.replay_accepter) Replay(golden, 'A').Run();
  }
}

TEST(GoldenConversations, AreWhatASessionSaysInThePlaceOfTheSideThatDialled) {
  for (const std::string& file : GoldenFiles()) {
    SCOPED_TRACE(file);
    const Golden golden = ReadGolden(absl::StrCat(P2P_WIRE_FILES, "/", file));
    if (golden.replay_dialler) Replay(golden, 'D').Run();
  }
}

}  // namespace
}  // namespace p2p::session
