// Answers a session's events as an engine would, out of one content that it holds in memory; checks
// what it is sent.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "core/base/chunk_set.h"
#include "core/content/chunk_tree.h"
#include "core/content/manifest.h"
#include "core/content/merkle.h"
#include "core/content/sha256.h"
#include "tests/unit/session/session_harness.h"

namespace p2p::session {

inline absl::Span<const uint8_t> AsBytes(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// A content of one file.
struct TestContent {
  TestContent(std::string file_name, std::string file_bytes)
      : name(std::move(file_name)), bytes(std::move(file_bytes)) {
    const ByteCount size(bytes.size());
    for (size_t at = 0; at < bytes.size(); at += limits::kChunkBytes) {
      chunks.push_back(bytes.substr(at, limits::kChunkBytes));
      hashes.push_back(content::ChunkHash(AsBytes(chunks.back()), size));
    }
    content::LayoutFile file;
    file.path = name;
    file.length = size;
    manifest = std::make_shared<content::Manifest>(*content::Manifest::Make(
        *content::Layout::Make(name, false, {file}), {content::FileRoot(hashes)}));
  }
  uint32_t chunk_count() const { return static_cast<uint32_t>(chunks.size()); }
  std::string BytesOf(const ChunkPart& part) const {
    const std::string& chunk = chunks[part.chunk.value()];
    if (part.whole()) return chunk;
    if (part.first_leaf * limits::kLeafBytes >= chunk.size()) return "";
    return chunk.substr(part.first_leaf * limits::kLeafBytes, part.leaf_count * limits::kLeafBytes);
  }

  std::string name;
  std::string bytes;
  std::vector<std::string> chunks;
  std::vector<Hash256> hashes;
  std::shared_ptr<const content::Manifest> manifest;
};

class FakeShare {
 public:
  FakeShare(std::shared_ptr<const TestContent> held, bool has_all)
      : content(std::move(held)), have(content->chunk_count()) {
    if (has_all) have.AddAll();
    knows_manifest = has_all;
  }

  // It was given these leaves before, with what proves them.
  void Learn(const ChunkPart& part) {
    const std::string& chunk = content->chunks[part.chunk.value()];
    content::ChunkTree whole = EmptyTree(part.chunk);
    ASSERT_TRUE(whole.AddAll(AsBytes(chunk)).ok());
    const std::string bytes = content->BytesOf(part);
    const Hash256 root = content::ChunkTree::RangeRoot(AsBytes(bytes), part.leaf_count);
    const auto proof = whole.Proof(part.first_leaf, part.leaf_count);
    ASSERT_TRUE(proof.ok()) << proof.status();
    ASSERT_TRUE(TreeOf(part.chunk).Add(part.first_leaf, part.leaf_count, root, *proof).ok());
    parts.insert(part);
  }

  // Handles all events that are there.
  void Answer(Harness* h) {
    h->Pump();
    while (!h->events.empty()) {
      PeerEvent event = std::move(h->events.front());
      h->events.pop_front();
      absl::visit([&](auto& e) { On(h->session, e); }, event);
      h->Pump();
    }
  }

  std::shared_ptr<const TestContent> content;
  ChunkSet have;
  std::set<ChunkPart> parts;  // proven leaves of chunks that are not here
  bool knows_manifest = false;
  std::vector<std::string> log;  // what was told, for comparison
  std::vector<std::string> peers = {"192.0.2.7:9001", "[2001:db8::7]:9001"};
  bool ended = false;

 private:
  void On(PeerSession&, PeerHello& e) { log.push_back("hello " + e.agent); }
  void On(PeerSession&, PeerIsOriginal&) { ended = true; }
  void On(PeerSession& s, OpenAsked& e) {
    if (e.content_id != content->manifest->content_id())
      return s.RefuseOpen(404, "not shared here");
    s.AcceptOpen(knows_manifest ? content->chunk_count() : 0);
  }
  void On(PeerSession&, OpenAnswered& e) {
    log.push_back(absl::StrCat("open ", e.accepted, e.reason));
  }
  void On(PeerSession& s, WhichAsked& e) {
    std::vector<ContentId> ids;
    if (e.name == content->name) ids.push_back(content->manifest->content_id());
    s.AnswerWhich(ids);
  }
  void On(PeerSession&, WhichAnswered& e) {
    log.push_back(absl::StrCat("which ", e.content_ids.size()));
  }
  void On(PeerSession& s, ManifestAsked& e) {
    s.SendManifest(
        std::shared_ptr<const std::string>(content->manifest, &content->manifest->info()));
    if (content->chunk_count() > 1 && e.max_hashes >= content->chunk_count()) {
      s.SendHashes(FileIndex(0), *content::MakeHashRange(content->hashes, 0));
    }
  }
  void On(PeerSession& s, ManifestReceived& e) {
    const absl::StatusOr<content::Manifest> manifest = content::Manifest::Parse(e.info);
    ASSERT_TRUE(manifest.ok()) << manifest.status();
    EXPECT_EQ(manifest->content_id(), content->manifest->content_id());
    EXPECT_EQ(manifest->layout().chunk_count(), content->chunk_count());
    s.SetChunkCount(content->chunk_count());
    knows_manifest = true;
    log.push_back("manifest");
  }
  void On(PeerSession&, ManifestProgress&) {}
  void On(PeerSession& s, HashesAsked& e) {
    const auto range = content::MakeHashRange(content->hashes, e.first);
    if (e.file != FileIndex(0) || !range.ok()) {
      return s.RefuseHashes(e.file, e.first, 404, "not known here");
    }
    s.SendHashes(e.file, *range);
  }
  void On(PeerSession&, HashesReceived& e) {
    const absl::Status proof = content::VerifyHashRange(e.range, content->chunk_count(),
                                                        content->manifest->root(FileIndex(0)));
    EXPECT_TRUE(proof.ok()) << proof;
    log.push_back(absl::StrCat("hashes ", e.range.first, " ", e.range.hashes.size()));
  }
  void On(PeerSession&, ManifestRefused& e) { log.push_back("no manifest " + e.reason); }
  void On(PeerSession&, HashesRefused& e) { log.push_back("no hashes " + e.reason); }
  void On(PeerSession& s, SubscribeAsked&) {
    if (have.All()) return s.SendHave(ChunkIndex(0), have.size());
    if (!have.None()) s.SendHaveBits(ChunkIndex(0), have.ToBytes());
    for (const ChunkPart& part : parts) s.SendHaveLeaves(part);
  }
  void On(PeerSession&, HaveReceived& e) {
    log.push_back(absl::StrCat("have ", e.first.value(), " ", e.count));
  }
  void On(PeerSession&, LostReceived& e) {
    log.push_back(absl::StrCat("lost ", e.first.value(), " ", e.count));
  }
  void On(PeerSession&, HaveBitsReceived& e) {
    log.push_back(absl::StrCat("bits ", e.bits.size()));
  }
  void On(PeerSession&, HaveLeavesReceived& e) {
    log.push_back(absl::StrCat("have leaves ", TextOf(e.part)));
  }
  void On(PeerSession& s, PeersAsked&) { s.SendPeers(peers); }
  void On(PeerSession&, PeersReceived& e) {
    log.push_back(absl::StrCat("peers ", e.addresses.size()));
  }
  void On(PeerSession& s, ServeChunk& e) {
    if (!e.part.whole()) return ServeLeaves(&s, e.part);
    if (!have.Has(e.part.chunk)) return s.Refuse(e.part, 409, "not there yet");
    s.SendChunk(e.part.chunk, SliceOf(content->chunks[e.part.chunk.value()]));
  }
  void On(PeerSession& s, ServeOriginalChunk& e) {
    if (e.name != content->name) return s.SendOriginalError(404, "unknown file");
    if (e.chunk_id >= content->chunk_count()) return s.SendOriginalError(416, "no such chunk");
    s.SendOriginalChunk(SliceOf(content->chunks[e.chunk_id]));
  }
  void On(PeerSession&, ChunkReceived& e) {
    const absl::Span<const uint8_t> data = e.data.span();
    if (!e.part.whole()) return OnLeaves(e);
    EXPECT_EQ(content::ChunkHash(data, ByteCount(content->bytes.size())),
              content->hashes[e.part.chunk.value()]);
    have.Add(e.part.chunk);
    log.push_back(absl::StrCat("chunk ", e.part.chunk.value()));
  }
  void On(PeerSession&, ProgressMade& e) { progress += e.bytes; }
  void On(PeerSession&, ChunkRejected& e) {
    log.push_back(absl::StrCat("rejected ", TextOf(e.part), " ", e.code));
  }
  void On(PeerSession&, SessionEnded& e) {
    ended = true;
    log.push_back("ended " + e.reason);
  }

  static std::string TextOf(const ChunkPart& part) {
    std::string text = absl::StrCat(part.chunk.value());
    if (!part.whole()) absl::StrAppend(&text, " ", part.first_leaf, " ", part.leaf_count);
    return text;
  }
  // What is known of a chunk's tree: all of it once the chunk is here.
  content::ChunkTree& TreeOf(ChunkIndex chunk) {
    const auto [at, is_new] = trees_.try_emplace(chunk, EmptyTree(chunk));
    if (is_new && have.Has(chunk)) {
      EXPECT_TRUE(at->second.AddAll(AsBytes(content->chunks[chunk.value()])).ok());
    }
    return at->second;
  }
  content::ChunkTree EmptyTree(ChunkIndex chunk) const {
    const auto length = static_cast<uint32_t>(content->chunks[chunk.value()].size());
    return {content->hashes[chunk.value()], length, ByteCount(content->bytes.size())};
  }
  void ServeLeaves(PeerSession* s, const ChunkPart& part) {
    const auto proof = TreeOf(part.chunk).Proof(part.first_leaf, part.leaf_count);
    if (absl::IsInvalidArgument(proof.status())) return s->Refuse(part, 404, "no such leaves");
    const bool here = have.Has(part.chunk) || parts.count(part) > 0;
    if (!here || !proof.ok()) return s->Refuse(part, 409, "not there yet");
    s->SendLeaves(part, *proof, SliceOf(content->BytesOf(part)));
  }
  void OnLeaves(const ChunkReceived& e) {
    const Hash256 root = content::ChunkTree::RangeRoot(e.data.span(), e.part.leaf_count);
    const absl::Status proven =
        TreeOf(e.part.chunk).Add(e.part.first_leaf, e.part.leaf_count, root, e.proof);
    EXPECT_TRUE(proven.ok()) << proven;
    parts.insert(e.part);
    log.push_back(absl::StrCat("leaves ", TextOf(e.part)));
  }

  absl::flat_hash_map<ChunkIndex, content::ChunkTree> trees_;

 public:
  uint64_t progress = 0;
};

}  // namespace p2p::session
