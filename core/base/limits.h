// Every limit of the system: its unit, its reason, and what happens when it is reached.
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/time/time.h"

namespace p2p::limits {

// --- The shape of content

// The unit of request, storage and announcement. Fixed by the original protocol.
inline constexpr uint32_t kChunkBytes = 524'288;
// The unit of hashing. Fixed by BEP 52.
inline constexpr uint32_t kLeafBytes = 16'384;
inline constexpr uint32_t kLeavesPerChunk = kChunkBytes / kLeafBytes;
// Largest file or share: chunk numbers then fit 31 bits. Larger ones are refused (422).
inline constexpr uint64_t kMaxFileBytes = uint64_t{1} << 50;
// Largest info dictionary taken from a peer: about half a million files. Larger ones are refused.
inline constexpr size_t kMaxManifestBytes = 64 << 20;
// Bytes of manifests that come in and are not verified, of all connections, where they are larger
// than kSmallManifestBytes. Beyond it the connection that brings more closes, and is asked again
// later.
inline constexpr size_t kMaxUnverifiedManifestBytes = 2 * kMaxManifestBytes;
inline constexpr size_t kSmallManifestBytes = 256 << 10;
// Files of one share; beyond it the share is refused with advice to pack it.
inline constexpr uint32_t kMaxFiles = 1'000'000;
// Bytes of all paths of a share together: what a manifest of shared prefixes may grow to in memory.
// Beyond it the share is refused with advice to pack it.
inline constexpr size_t kMaxPathBytes = 128 << 20;
// Trackers, and peers, taken from one magnet link; more are ignored.
inline constexpr size_t kMaxMagnetAddresses = 16;
// Depth of a directory share, and of bencoded input (recursion is bounded by it).
inline constexpr int kMaxPathDepth = 100;

// Threads that a configuration may ask for; more are refused.
inline constexpr int kMaxWorkerThreads = 256;

// --- Lines and names

// A text line with its LF. Longer: ERROR 413 and the connection closes.
inline constexpr size_t kMaxLineBytes = 4'096;
inline constexpr size_t kMaxNameBytes = 1'024;
// One component of a name: what common file systems hold.
inline constexpr size_t kMaxComponentBytes = 255;
// Digits of a file size: 2^50 has 16.
inline constexpr size_t kMaxSizeDigits = 16;
// Numbers of the extension that have no limit of their own. Larger ones are malformed.
inline constexpr uint64_t kMaxNumber = (uint64_t{1} << 31) - 1;
// An original chunk header, "524288\n".
inline constexpr size_t kMaxChunkHeaderBytes = 7;
// Malformed lines a connection may send before it is closed.
inline constexpr int kMaxBadLines = 8;

// --- Conversations

// Payload of one MANIFEST message: a part. What else there is to say goes between parts.
inline constexpr uint32_t kMaxManifestPartBytes = 256 << 10;
// Payload of one HASHES message, in chunk hashes.
inline constexpr uint32_t kMaxHashesPerMessage = 8'192;
// Payload of one HAVE-BITS message in bytes (524,288 chunks).
inline constexpr size_t kMaxHaveBitsBytes = 65'536;
// What a peer says of its chunks before the manifest is known and the disk has room for the
// content, in memory; more closes the connection.
inline constexpr size_t kMaxEarlyHaveBytes = 1 << 20;
// Payload of a message this version does not know; more closes the connection.
inline constexpr size_t kMaxUnknownPayloadBytes = 1 << 20;
// Chunks one extension connection may have asked for and not yet been given; more are rejected
// (429).
inline constexpr uint32_t kMaxQueuedChunks = 4'096;
// Requests of the original protocol queued on a connection; then it is not read until one is
// answered.
inline constexpr int kMaxPipelinedRequests = 64;
// Peers in one answer of a tracker or of a peer.
inline constexpr int kMaxPeersPerAnswer = 64;
// Of these, of one host (an IPv4 address, a /64 of IPv6), where a tracker knows others too: a NAT
// with more has them found through each other.
inline constexpr int kMaxPeersPerHostInAnswer = 4;
// An address with its parts, and a list of as many as an answer has. A longer address is skipped, a
// list of more bytes is malformed.
inline constexpr size_t kMaxAddressBytes = 255;
inline constexpr size_t kMaxAddressListBytes = kMaxPeersPerAnswer * (kMaxAddressBytes + 1);
// Versions of one name in an answer of a tracker: of more, half are the most shared ones, and half
// go to one network after the other.
inline constexpr int kMaxVersionsPerAnswer = 16;
// One connection's turn of an I/O loop, after which the others have theirs: what it sends costs
// time that its bytes do not tell.
inline constexpr absl::Duration kMaxReadTurn = absl::Milliseconds(4);
// Unsent text on one connection. Beyond it the connection is not read; after kSlowReaderTimeout it
// closes.
inline constexpr size_t kMaxSendBacklogBytes = 1 << 20;

// --- Times

// The first request must be whole by then; slow-loris connections end here.
inline constexpr absl::Duration kFirstRequestTimeout = absl::Seconds(10);
// A connection on which nothing happens closes after this.
inline constexpr absl::Duration kIdleTimeout = absl::Seconds(120);
// An unended line counts as ended after this pause, on a connection that has not said HELLO and on
// which no line was ended yet.
inline constexpr absl::Duration kLinePause = absl::Milliseconds(200);
// A transfer that moves less than kMinTransferBytes in this time is given up.
inline constexpr absl::Duration kSlowReaderTimeout = absl::Seconds(30);
inline constexpr uint64_t kMinTransferBytes = 30 * 1'024;
// A manifest that was asked for must be here by then, and by as much later as what it states takes:
// up to kSmallManifestBytes at the least rate of any transfer, what is beyond at
// kMinManifestRate. Else the connection closes.
inline constexpr absl::Duration kManifestPatience = absl::Seconds(10);
inline constexpr uint64_t kMinManifestRate = 32 << 10;  // bytes a second
// One more peer is asked for the manifest after this, while none brings it at kMinManifestRate and
// fewer than kMaxQuickManifests are asked; and after kManifestPatience in any case.
inline constexpr absl::Duration kNextManifestAfter = absl::Seconds(1);
inline constexpr size_t kMaxQuickManifests = 4;
inline constexpr absl::Duration kConnectTimeout = absl::Seconds(10);
// How long a connection that has sent its last byte waits for the other side to end; then it
// closes.
inline constexpr absl::Duration kCloseLinger = absl::Seconds(5);
// No connection is accepted for this long after descriptors ran out, so that accepting does not
// spin.
inline constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);
// A peer that has not answered HELLO by then speaks only the original protocol.
inline constexpr absl::Duration kHelloTimeout = absl::Seconds(3);
// A registration lives this long at a tracker unless it is renewed.
inline constexpr absl::Duration kRegistrationTtl = absl::Seconds(120);
// A tracker that leaves a question open for this long is given up, and asked again later.
inline constexpr absl::Duration kTrackerAnswerTimeout = absl::Seconds(30);

// --- Per address
//
// "Address" is that of one host: an IPv4 address, or the /64 of an IPv6 one, which any host has all
// of (core/net/address.h).

// A /48 of IPv6 has as much as this many addresses: one owner has up to 65,536 of them there.
inline constexpr int kAddressesPerSite = 16;
// Connections of one address, and new ones a second. Beyond it the newcomer is told so (503) and
// closed.
inline constexpr int kMaxConnectionsPerAddress = 64;
inline constexpr int kMaxNewConnectionsPerSecond = 100;
// Accepted connections about one content. Peers dial 15 to 30 each (daemon/engine/peer_search.cc),
// so that this is reached only by one that the whole swarm asks. Beyond it one of a network (then
// of a host) that has more of them than the newcomer's goes, of these the one that is sent least;
// where there is none, OPEN is refused (503) with the addresses of others.
inline constexpr int kMaxAcceptedLinks = 64;
// An accepted connection that has opened a content and asked for nothing and offered nothing by
// then closes: it holds a place that others want.
inline constexpr absl::Duration kUnusedOpenTimeout = absl::Seconds(10);
// With all places of a content taken, a connection that was sent nothing for so long goes for a
// newcomer whose network, or host, has as many.
inline constexpr absl::Duration kIdlePlaceTime = absl::Seconds(60);
// Connections of one listener, of all addresses. Beyond it the newcomer is told so (503) and
// closed.
inline constexpr int kMaxConnections = 100'000;
// Registrations of one address at a tracker. Beyond it ERROR 429.
inline constexpr int kMaxRegistrationsPerAddress = 1'000;
// Memory of a tracker's registry, estimated (56 bytes for each registration; 168 and the name for
// each name; 72 for each content id, 40 for each address in each part of the registry that knows
// it). Beyond it ERROR 503: nobody's registration is dropped for a newcomer's. A network (/24 of
// IPv4, /48 of IPv6) gets 429 when it has as much as is left free: alone at most half, and one that
// comes later always finds some.
inline constexpr size_t kMaxRegistryBytes = size_t{1} << 30;

// --- Asking for chunks

// Bytes kept asked for on one link. Requests are lines, not memory: the cap only bounds what a link
// that stalls holds up.
inline constexpr uint64_t kMinRequestWindowBytes = 2 << 20;
// At least so much where others fetch the same content, of a link that has some of it and of one
// that has everything.
inline constexpr uint64_t kMinCrowdedWindowBytes = 256 << 10;
inline constexpr uint64_t kMinCrowdedCompleteWindowBytes = 1 << 20;
inline constexpr uint64_t kStartRequestWindowBytes = 4 << 20;
inline constexpr uint64_t kMaxRequestWindowBytes = 32 << 20;
// Chunks kept asked for on one link: well below what the other side refuses.
inline constexpr uint32_t kMaxRequestedChunks = kMaxQueuedChunks / 2;
// A link that brings nothing of what it was asked for this long (or 4 times what a chunk should
// take, at most kMaxSnubTimeout) is snubbed: its chunks are asked of others, and it gets one at a
// time.
inline constexpr absl::Duration kSnubTimeout = absl::Seconds(5);
inline constexpr absl::Duration kMaxSnubTimeout = absl::Seconds(60);
// A chunk that a link refused is not asked of it again for this long, doubled while it only
// refuses.
inline constexpr absl::Duration kRejectBackOff = absl::Seconds(3);
inline constexpr absl::Duration kMaxRejectBackOff = absl::Seconds(48);
// Refused chunks remembered a link. With so many it is asked for nothing until one may be asked for
// again.
inline constexpr size_t kMaxRejectedChunks = 256;
// A link may withdraw each chunk this often; beyond it the link is dropped: each change costs us
// work.
inline constexpr uint64_t kMaxLostPerChunk = 4;
// A link may tell of the content so often in all, counted in the chunks (or parts of them) that it
// names, and at least so often of any content; beyond it the link is dropped, for the same reason.
// A peer that tells each leaf of each chunk as it comes needs half of it.
inline constexpr uint64_t kMaxToldPerChunk = 64;
inline constexpr uint64_t kMinMaxTold = 4'096;

// All links of one host, or to one address that we dial, may change what they have so often
// together, counted like the limits above, and at least so often of any content; beyond it they are
// dropped. It is forgotten evenly in kChangesMemory, whatever links come and go.
inline constexpr uint64_t kMaxChangesPerChunk = 256;
inline constexpr uint64_t kMinMaxChanges = 1 << 20;
inline constexpr absl::Duration kChangesMemory = absl::Minutes(4);
// Of so many it is looked which may be forgotten.
inline constexpr size_t kMaxOrigins = 1'024;

// --- Who is connected to whom

// Peers of one content that a download connects to; it dials while fewer are connected, whoever
// dialled. A graph of random links holds together if each node has a few more than ln N of them
// (Erdos and Renyi), so this is enough for any swarm; swarms up to this size are full meshes.
inline constexpr int kWantedPeers = 24;
// With more than so many it lets go of one that it dialled: all then have about as many, and the
// same share of each other's uplinks.
inline constexpr int kMostPeers = 32;
// So many of them it dials itself, however many peers have dialled it: whom others send here does
// not choose whom it knows.
inline constexpr int kLeastDialledPeers = 8;
// Addresses at which a download may find peers. Beyond it one that nothing is known of goes, of
// whoever has told most; where nobody has told more than the newcomer's teller, that one is
// refused.
inline constexpr size_t kMaxKnownPeers = 1'000;
// Of these, addresses of one host, and those that one network (or one tracker) has told. Beyond
// them likewise. What the user names is not counted.
inline constexpr int kMaxKnownPeersPerHost = 32;
inline constexpr int kMaxKnownPeersPerTeller = 200;
// Addresses that were refused, with the reason, that a download remembers for who looks at its
// peers. The oldest go.
inline constexpr size_t kMaxRefusedAddresses = 64;

// Addresses of peers remembered as speaking the extension. Beyond it the oldest is forgotten.
inline constexpr size_t kMaxKnownSpeakers = 16'384;

// --- Sending

// Bytes that a connection may have ready beyond what is on the wire, at least: the smallest range
// of leaves that is asked for. Faster links have more.
inline constexpr uint64_t kMinSendAheadBytes = 64 << 10;

// --- Log

// Lines a second about faults of others, of each kind; more are counted, and the next line tells
// how many there were.
inline constexpr int kMaxFaultLinesPerSecond = 10;

// --- Memory

// Chunk buffers of the whole process. When they are all leased, connections are not read until one
// is back.
inline constexpr size_t kChunkPoolBytes = 32 << 20;

// --- Disks

// A job that has waited so long for its disk is taken for stuck: another thread does the work of
// its own until it comes back. What is quicker is worth waiting for.
inline constexpr absl::Duration kJobPatience = absl::Seconds(1);
// Stuck jobs of one disk. With so many, what else wants something of that disk waits; nothing that
// wants something of another one does.
inline constexpr int kMaxStuckJobsPerDisk = 32;
// Threads that stand in for stuck ones, of all disks together (a stuck one costs some 100 KB).
// Beyond it a disk that hangs may hold up others.
inline constexpr int kMaxStandInThreads = 256;
// After a peer left, the files that it was sent are looked at: one look at a time for each
// transfer, so many files at most, and not sooner than so long after the one before.
inline constexpr size_t kMaxFilesPerLook = 4'096;
inline constexpr absl::Duration kLookInterval = absl::Seconds(3);
// Files remembered a link, the latest ones that it was sent of: what is still on its way to the
// peer comes from no more.
inline constexpr size_t kMaxServedFiles = 4'096;

// --- Control

// The control socket answers when every transfer was read from the catalog. With a catalog that
// takes longer than this it answers all the same; transfers not yet read then show no bytes.
inline constexpr absl::Duration kLoadWait = absl::Seconds(10);
// A call that changes a transfer is answered when the change is committed, so that the answer holds
// after a crash. A disk that takes longer than this delays no answer further: the change is made,
// and is committed when the disk gets to it.
inline constexpr absl::Duration kCommitWait = absl::Seconds(5);
// Bytes of a Unix socket path: sun_path without its NUL. A longer one is a configuration error.
inline constexpr size_t kMaxSocketPathBytes = 107;
// Open control connections. Beyond it the newcomer is told "busy" and closed.
inline constexpr int kMaxControlConnections = 256;
// One request or answer of the control API; gRPC refuses larger ones (RESOURCE_EXHAUSTED).
inline constexpr int kMaxControlMessageBytes = 4 << 20;
// Memory that gRPC may use for all control connections together; beyond it gRPC refuses calls.
inline constexpr size_t kMaxControlMemoryBytes = 32 << 20;
// Calls that may wait for the catalog (Download, Pause, Resume, Remove, the end of Share) and run
// at once. Beyond it they wait for their turn; no other call is ever behind them. A Share whose
// path is looked at holds no place.
inline constexpr int kMaxControlWaits = 16;
// WatchTransfers streams at a time. Beyond it RESOURCE_EXHAUSTED.
inline constexpr int kMaxControlWatchers = 1'000;
// Items in one page of a list. More asked for gives this many.
inline constexpr int kMaxControlPageItems = 1'000;
// Items in a page when the caller does not say; transfers in one message of a watch.
inline constexpr int kDefaultControlPageItems = 100;
// A path in a request; the system takes no longer one (PATH_MAX with its NUL).
inline constexpr size_t kMaxLocalPathBytes = 4'095;
// Between two messages about progress on one watch.
inline constexpr absl::Duration kControlProgressInterval = absl::Milliseconds(200);

}  // namespace p2p::limits
