// How a member begins: what its folder has voted, what its log and snapshot hold, and that the three belong together.
#include <fmt/format.h>

#include "replication/quorum/driver.h"

namespace posthaste::replication::quorum {

using reactor::Errc;
using reactor::failure;
using reactor::Result;
using reactor::Task;

namespace {

// What an operator can do without a vote that other members may count on.
constexpr std::string_view kWayOut =
    "if this broker is the only voter of its cluster, remove that file and start again; else remove this data folder, "
    "so "
    "that the broker joins again without a vote";

std::string_view way_out(Errc error) {
  if (error == Errc::kUnsupported) return "start the newer version that wrote it";
  if (error == Errc::kCorrupt || error == Errc::kTruncated) return kWayOut;
  return "make it readable and writable for the user that the broker runs as; if it is, see what the device did";
}

// The file, and a block for its name.
constexpr uint64_t kVoteFileSpace = 3 * kVoteSlotBytes;

}  // namespace

Task<Result<void>> Driver::start(std::string& why, FoundBatch found) {
  check_core();
  const auto newest = co_await snapshots_.newest();
  if (!newest) {
    why = fmt::format("the newest snapshot cannot be used ({})", to_string(newest.error()));
    co_return failure(newest.error());
  }
  StoredSnapshot from = newest->value_or(StoredSnapshot{});
  if (from.voters.empty()) from.voters = options_.first_voters;
  Result<void> done = co_await join_log_to_snapshot(log_, from, options_.self, why);
  if (!done) co_return done;
  done = co_await open_vote_file(why);
  if (!done) co_return done;
  quorum_.emplace(options_.quorum,
                  Recovered{.self = options_.self,
                            .vote = vote_file_ ? vote_file_->stored().vote : Vote{},
                            .snapshot = from.id,
                            .voters = from.voters,
                            .is_unverified = options_.is_unverified},
                  [this](uint64_t bound) { return core_.random() % bound; });
  done = co_await scan_log(core_, log_, *quorum_, found, why);
  if (done && !vote_file_) done = co_await make_vote_file(why);
  if (!done) {
    quorum_.reset();
    co_return done;
  }
  carry_out(quorum_->start(core_.now()));
  co_return done;
}

// None is no error yet: the log says whether there must have been one.
Task<Result<void>> Driver::open_vote_file(std::string& why) {
  Result<VoteFile> opened = co_await VoteFile::open(core_, options_.folder);
  if (!opened && opened.error() == Errc::kNotFound) co_return Result<void>();
  const std::string path = vote_file_path(options_.folder);
  if (!opened) {
    why = fmt::format("the vote file {} cannot be used ({}), so this folder cannot say how it has voted: {}", path,
                      to_string(opened.error()), way_out(opened.error()));
    co_return failure(opened.error());
  }
  vote_file_ = *opened;
  if (vote_file_->stored().directory == options_.self.directory) co_return Result<void>();
  why = fmt::format("the vote file {} is of another data folder: {}", path, kWayOut);
  co_return failure(Errc::kCorrupt);
}

// A folder that has never been in an epoch of the quorum has not voted. A lone voter gave its votes to itself alone,
// each in an epoch that its log begins with, or in which nobody wrote anything.
Task<Result<void>> Driver::make_vote_file(std::string& why) {
  const std::string path = vote_file_path(options_.folder);
  if (quorum_->log().end().epoch > 0 && !quorum_->is_lone_voter()) {
    why = fmt::format(
        "the vote file {} is missing, so this folder cannot say how it has voted: remove this data folder, "
        "so that the broker joins again without a vote",
        path);
    co_return failure(Errc::kNotFound);
  }
  Result<VoteFile> made = co_await VoteFile::create(core_, options_.folder, options_.self.directory);
  if (!made && made.error() == Errc::kNoSpace) {
    // The first start with a quorum may find the disk full: what is kept back for changes serves.
    const uint64_t given = co_await engine_.take_from_reserve(kVoteFileSpace, true);
    made = co_await VoteFile::create(core_, options_.folder, options_.self.directory);
    engine_.took_from_reserve(given);
  }
  if (!made) {
    why = fmt::format("the vote file {} cannot be made ({})", path, to_string(made.error()));
    co_return failure(made.error());
  }
  vote_file_ = *made;
  co_return Result<void>();
}

}  // namespace posthaste::replication::quorum
