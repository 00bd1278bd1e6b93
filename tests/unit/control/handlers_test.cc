#include "daemon/control/handlers.h"

#include "core/base/limits.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/fake_transfer_service.h"

namespace p2p::control {
namespace {

using engine::TransferKind;
using engine::TransferState;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using testing_support::FakeTransferService;
using testing_support::MakeTransfer;

class HandlersTest : public ::testing::Test {
 protected:
  HandlersTest() {
    transfers_.Put(MakeTransfer(1, TransferState::kHashing, TransferKind::kShare, "one"));
  }
  static std::string Text(const absl::Status& status) { return std::string(status.message()); }

  absl::StatusOr<v1::ShareResponse> Share(const v1::ShareRequest& request) {
    absl::StatusOr<TransferId> shared = absl::UnknownError("not answered");
    handlers_.BeginShare(request, [&](absl::StatusOr<TransferId> id) { shared = std::move(id); });
    return handlers_.EndShare(shared);
  }

  FakeTransferService transfers_;
  Handlers handlers_{&transfers_};
};

TEST_F(HandlersTest, ShareAnswersWithTheTransferAsItIs) {
  v1::ShareRequest request;
  request.set_path("/srv/one");
  request.set_name("uno");
  const auto response = Share(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->transfer().id(), 1u);
  EXPECT_EQ(response->transfer().state(), v1::TRANSFER_STATE_HASHING);
  EXPECT_THAT(transfers_.calls(), ElementsAre("share /srv/one uno"));
}

TEST_F(HandlersTest, G10_AnEmptyFieldIsNamed) {
  EXPECT_THAT(Text(Share({}).status()), StartsWith("path: "));
  EXPECT_THAT(Text(handlers_.Download({}).status()), StartsWith("source: "));
  EXPECT_THAT(Text(handlers_.GetTransfer({}).status()), StartsWith("transfer: "));
  EXPECT_THAT(Text(handlers_.ListPeers({}).status()), StartsWith("transfer: "));
  EXPECT_THAT(Text(handlers_.Pause({}).status()), StartsWith("transfer: "));
  EXPECT_THAT(Text(handlers_.Resume({}).status()), StartsWith("transfer: "));
  EXPECT_THAT(Text(handlers_.Remove({}).status()), StartsWith("transfer: "));
  EXPECT_THAT(Text(handlers_.Verify({}).status()), StartsWith("transfer: "));
  EXPECT_TRUE(absl::IsInvalidArgument(handlers_.Verify({}).status()));
  EXPECT_THAT(transfers_.calls(), ElementsAre());
}

TEST_F(HandlersTest, G04_ARelativePathIsRefused) {
  v1::ShareRequest share;
  share.set_path("srv/one");
  EXPECT_TRUE(absl::IsInvalidArgument(Share(share).status()));
  v1::DownloadRequest download;
  download.set_source("one");
  download.set_output("../x");
  EXPECT_THAT(Text(handlers_.Download(download).status()), StartsWith("output: "));
  EXPECT_THAT(transfers_.calls(), ElementsAre());
}

TEST_F(HandlersTest, G04_APathIsTakenUpToTheSystemsLimit) {
  v1::ShareRequest request;
  for (const size_t length : {limits::kMaxLocalPathBytes - 1, limits::kMaxLocalPathBytes}) {
    request.set_path("/" + std::string(length - 1, 'x'));
    EXPECT_TRUE(Share(request).ok()) << length;
  }
  request.set_path("/" + std::string(limits::kMaxLocalPathBytes, 'x'));
  EXPECT_TRUE(absl::IsInvalidArgument(Share(request).status()));
}

TEST_F(HandlersTest, APathMayHoldAnyBytesButNul) {
  v1::ShareRequest request;
  request.set_path("/srv/\xff\n");
  EXPECT_TRUE(Share(request).ok());
  request.set_path(std::string("/srv/a\0b", 8));
  EXPECT_THAT(Text(Share(request).status()), HasSubstr("NUL"));
}

TEST_F(HandlersTest, ANameThatNobodyCouldAskForIsRefused) {
  v1::ShareRequest request;
  request.set_path("/srv/one");
  for (const char* name : {"a\nb", "../x", "/x", "a//b", "\xE2\x80\xAEgpj.exe"}) {
    request.set_name(name);
    EXPECT_THAT(Text(Share(request).status()), StartsWith("name: ")) << name;
  }
  EXPECT_THAT(transfers_.calls(), ElementsAre());
}

TEST_F(HandlersTest, AnUnknownTransferIsNotFoundWithAdvice) {
  v1::PauseRequest request;
  request.set_transfer("nobody");
  const absl::Status status = handlers_.Pause(request).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(Text(status), HasSubstr("p2pctl list"));
}

TEST_F(HandlersTest, ErrorsOfTheEngineComeThroughAsTheyAre) {
  transfers_.AnswerWith(absl::AlreadyExistsError("/x exists"));
  v1::DownloadRequest request;
  request.set_source("one");
  EXPECT_EQ(handlers_.Download(request).status(), absl::AlreadyExistsError("/x exists"));
}

TEST_F(HandlersTest, V15_AnEngineThatStandsStillIsNoEmptyList) {
  transfers_.AnswerQuestionsWith(absl::DeadlineExceededError("it did not answer"));
  EXPECT_TRUE(absl::IsDeadlineExceeded(handlers_.ListTransfers({}).status()));
  EXPECT_TRUE(absl::IsDeadlineExceeded(handlers_.GetDaemon({}).status()));
}

TEST_F(HandlersTest, RemoveAnswersWithWhatWasRemoved) {
  v1::RemoveRequest request;
  request.set_transfer("one");
  request.set_with_data(true);
  const auto response = handlers_.Remove(request);
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->transfer().name(), "one");
  EXPECT_THAT(transfers_.calls(), ElementsAre("remove 1 with data"));
}

TEST_F(HandlersTest, ListsPageByPageWithoutGapOrRepeat) {
  for (uint64_t id = 2; id <= 5; ++id) {
    transfers_.Put(MakeTransfer(id, TransferState::kSeeding, TransferKind::kShare, "x"));
  }
  v1::ListTransfersRequest request;
  request.set_page_size(2);
  std::vector<uint64_t> ids;
  int pages = 0;
  do {
    const auto page = handlers_.ListTransfers(request);
    ASSERT_TRUE(page.ok());
    EXPECT_LE(page->transfers_size(), 2);
    for (const auto& transfer : page->transfers()) ids.push_back(transfer.id());
    request.set_page_token(page->next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_THAT(ids, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(pages, 3);
}

TEST_F(HandlersTest, AFullLastPageHasNoNextOne) {
  transfers_.Put(MakeTransfer(2, TransferState::kSeeding, TransferKind::kShare, "x"));
  v1::ListTransfersRequest request;
  request.set_page_size(2);
  EXPECT_EQ(handlers_.ListTransfers(request)->next_page_token(), "");
}

TEST_F(HandlersTest, APageHasAtMostItsLimitOfItems) {
  for (uint64_t id = 2; id <= limits::kMaxControlPageItems + 1; ++id) {
    transfers_.Put(MakeTransfer(id, TransferState::kSeeding, TransferKind::kShare, "x"));
  }
  v1::ListTransfersRequest request;
  EXPECT_EQ(handlers_.ListTransfers(request)->transfers_size(), limits::kDefaultControlPageItems);
  for (const int asked : {limits::kMaxControlPageItems - 1, limits::kMaxControlPageItems,
                          limits::kMaxControlPageItems + 1}) {
    request.set_page_size(asked);
    EXPECT_EQ(handlers_.ListTransfers(request)->transfers_size(),
              std::min(asked, limits::kMaxControlPageItems));
  }
}

TEST_F(HandlersTest, APageOfLongPathsStaysBelowTheMessageLimit) {
  for (uint64_t id = 1; id <= 1'000; ++id) {
    auto info = MakeTransfer(id, TransferState::kSeeding, TransferKind::kShare, "x");
    info.path = "/" + std::string(4'000, 'x');
    info.magnet = std::string(4'000, 'm');
    transfers_.Put(info);
  }
  v1::ListTransfersRequest request;
  request.set_page_size(1'000);
  const auto page = handlers_.ListTransfers(request);
  EXPECT_LT(page->ByteSizeLong(), static_cast<size_t>(limits::kMaxControlMessageBytes));
  EXPECT_NE(page->next_page_token(), "");
}

TEST_F(HandlersTest, G10_ABadPageIsNamed) {
  v1::ListTransfersRequest request;
  request.set_page_size(-1);
  EXPECT_THAT(Text(handlers_.ListTransfers(request).status()), StartsWith("page_size: "));
  request.set_page_size(0);
  for (const char* token : {"x", "-1", "99999999999999999999999", " 1"}) {
    request.set_page_token(token);
    EXPECT_THAT(Text(handlers_.ListTransfers(request).status()), StartsWith("page_token: "));
  }
}

TEST_F(HandlersTest, PeersComeInTheOrderOfTheirAddressesPageByPage) {
  std::vector<engine::PeerInfo> peers(3);
  peers[0].address = "10.0.0.3:1";
  peers[1].address = "10.0.0.1:1";
  peers[2].address = "10.0.0.2:1";
  transfers_.SetPeers(peers);
  v1::ListPeersRequest request;
  request.set_transfer("1");
  request.set_page_size(2);
  auto page = handlers_.ListPeers(request);
  ASSERT_TRUE(page.ok());
  ASSERT_EQ(page->peers_size(), 2);
  EXPECT_EQ(page->peers(0).address(), "10.0.0.1:1");
  request.set_page_token(page->next_page_token());
  page = handlers_.ListPeers(request);
  ASSERT_EQ(page->peers_size(), 1);
  EXPECT_EQ(page->peers(0).address(), "10.0.0.3:1");
  EXPECT_EQ(page->next_page_token(), "");
}

TEST_F(HandlersTest, ATokenBeyondTheEndGivesAnEmptyPage) {
  v1::ListPeersRequest request;
  request.set_transfer("1");
  request.set_page_token("18446744073709551615");
  const auto page = handlers_.ListPeers(request);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->peers_size(), 0);
}

TEST_F(HandlersTest, TextThatIsNotUtf8IsMadeSoAndPathsStayBytes) {
  auto info = MakeTransfer(7, TransferState::kError, TransferKind::kDownload, "n");
  info.error = "cannot write /srv/\xff";
  info.path = "/srv/\xff";
  info.rate_down = -1;
  transfers_.Put(info);
  v1::GetTransferRequest request;
  request.set_transfer("7");
  const auto response = handlers_.GetTransfer(request);
  ASSERT_TRUE(response.ok());
  EXPECT_EQ(response->transfer().error(), "cannot write /srv/\\xff");
  EXPECT_EQ(response->transfer().path(), "/srv/\xff");
  EXPECT_EQ(response->transfer().rate_down(), 0u);
}

}  // namespace
}  // namespace p2p::control
