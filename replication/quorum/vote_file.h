// The vote on disk: a file of two slots of one block each. A vote is written to one slot and, when that is durable, to
// the other; then it may be answered. So a torn write leaves the vote of before, which is what was answered; one rotten
// slot leaves the other, which says the same; and two bad slots mean that the disk is as good as wiped: its owner must
// not vote under this directory again. It does not decide votes.
#pragma once
#include <string>
#include <vector>

#include "reactor/file.h"
#include "replication/quorum/events.h"
#include "storage/bytes/bytes.h"

namespace posthaste::replication::quorum {

inline constexpr size_t kVoteSlotBytes = 4096;  // a block: no write of one touches the other

struct StoredVote {
  uint64_t sequence = 0;  // of the write; the larger one is newer
  DirectoryId directory;  // whose vote it is
  Vote vote;
  friend bool operator==(const StoredVote&, const StoredVote&) = default;
};

// kVoteSlotBytes.
storage::Bytes encode_vote_slot(const StoredVote& stored);
// kTruncated, kCorrupt: not a whole slot. kUnsupported: of a newer format.
reactor::Result<StoredVote> decode_vote_slot(storage::ByteView slot);
// The newer of the whole slots of a file. kCorrupt: there is none. kUnsupported: one is of a newer format.
reactor::Result<StoredVote> decode_vote_file(storage::ByteView file);

// The file, open. One core's; close() before it goes away. At most one call at a time.
class VoteFile {
 public:
  // Makes the file, with the epoch 0 and no vote. kExists: there is one. Its name is durable, too.
  static reactor::Task<reactor::Result<VoteFile>> create(reactor::Core& core, std::string folder,
                                                         DirectoryId directory);
  // Both slots hold the newer vote, durably, before this returns. kNotFound, kCorrupt: this folder cannot say how it
  // has voted. kUnsupported as above; the file is left as it is.
  static reactor::Task<reactor::Result<VoteFile>> open(reactor::Core& core, std::string folder);

  const StoredVote& stored() const { return stored_; }
  // When it returns, `vote` may be answered. After an error nothing may be: what is on disk is unknown.
  reactor::Task<reactor::Result<void>> write(Vote vote);
  reactor::Task<reactor::Result<void>> close();

 private:
  reactor::Task<reactor::Result<void>> write_both();
  reactor::File file_;
  StoredVote stored_;
};

std::string vote_file_path(const std::string& folder);
// Names of what is kept in the folder.
std::vector<std::string> vote_files();

}  // namespace posthaste::replication::quorum
