// The snapshots of the metadata log as files in a folder of their own: written in the background from an image or taken
// piece by piece from a leader, found again at start, read by followers. A file has its name only when it is whole and
// durable; what a crash left under another name is removed. The two newest are kept: when one of them is rotten, the
// one before and the log from there on say the same. It knows files and images, not the log.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "reactor/file.h"
#include "reactor/task.h"
#include "replication/metadata/image.h"
#include "replication/metadata/snapshot_format.h"
#include "replication/quorum/snapshot_store.h"

namespace posthaste::replication {

// Core 0. load() comes before all else; stop() must be awaited before it goes away.
class MetadataSnapshots final : public quorum::SnapshotStore {
 public:
  static constexpr std::string_view kFolder = "metadata-snapshots";  // in the data folder
  static constexpr size_t kKept = 2;

  MetadataSnapshots(reactor::Core& core, const std::string& data_folder)
      : core_(core), data_folder_(data_folder), folder_(data_folder + "/" + std::string(kFolder)) {}

  // What a start finds. Nothing without a whole snapshot.
  struct Loaded {
    SnapshotId id;
    quorum::VoterSet voters;  // empty: SnapshotDecoder::voters()
    MetadataImage image;
    uint64_t bytes = 0;
  };
  // The newest whole snapshot, and with it which ones there are. A rotten one is said in the log, counted, and passed
  // over. On error `why` names the file, for people: it is whole and of a newer program (kUnsupported), or the folder
  // cannot be read.
  reactor::Task<reactor::Result<std::optional<Loaded>>> load(std::string& why);

  // Writes one of `image` that is newer than all; durable when it returns. Older ones go, but for kKept in all. On
  // error there is no trace of it. kCancelled: `is_cancelled`, asked before each write, has said so; kStale: a newer
  // one was installed meanwhile.
  reactor::Task<reactor::Result<uint64_t>> write(SnapshotId id, quorum::VoterSet voters, MetadataImage image,
                                                 const std::function<bool()>& is_cancelled);
  // The log's first record, at `id`, stands for all before it, and there is no file that says the same: what load() has
  // found none of.
  void stand_in_log(SnapshotId id);
  reactor::Task<void> stop();

  // quorum::SnapshotStore. The newest one is what load() has found, or what was written or installed since.
  reactor::Task<reactor::Result<std::optional<quorum::StoredSnapshot>>> newest() override;
  reactor::Task<reactor::Result<quorum::SnapshotPiece>> read(SnapshotId id, uint64_t position) override;
  reactor::Task<reactor::Result<void>> write_piece(SnapshotId id, uint64_t position, storage::Bytes piece) override;
  // Older ones go: the log between them and this one does, too. kCorrupt and others: what has come is no snapshot;
  // kUnsupported also: it names no voters; kStale: a newer one is there; kNotFound: a piece was not written.
  reactor::Task<reactor::Result<quorum::StoredSnapshot>> install(SnapshotId id) override;
  quorum::Offset log_needed_from() const override;

  // Whole as far as is known, ascending: from the first on, the log must be there.
  const std::vector<SnapshotId>& kept() const { return kept_; }
  const std::vector<std::string>& rotten() const { return rotten_; }
  const std::string& folder() const { return folder_; }

 private:
  // What comes from a leader, under a name of its own.
  struct Incoming {
    SnapshotId id;
    reactor::File file;
    uint64_t bytes = 0;
  };

  reactor::Task<reactor::Result<std::vector<SnapshotId>>> list();
  reactor::Task<reactor::Result<Loaded>> read_whole(SnapshotId id);
  reactor::Task<reactor::Result<Loaded>> read_image(SnapshotId id, reactor::File& file);
  reactor::Task<reactor::Result<uint64_t>> read_frames(reactor::File& file, SnapshotDecoder& decoder,
                                                       MetadataImage& image);
  reactor::Task<reactor::Result<uint64_t>> write_frames(reactor::File& file, const SnapshotId& id,
                                                        const quorum::VoterSet& voters, const MetadataImage& image,
                                                        const std::function<bool()>& is_cancelled);
  reactor::Task<reactor::Result<uint64_t>> write_file(const SnapshotId& id, const quorum::VoterSet& voters,
                                                      const MetadataImage& image,
                                                      const std::function<bool()>& is_cancelled);
  reactor::Task<reactor::Result<void>> name_durably(const SnapshotId& id, std::string from);
  reactor::Task<reactor::Result<void>> begin_incoming(SnapshotId id);
  reactor::Task<reactor::Result<quorum::VoterSet>> finish_incoming(Incoming& incoming);
  reactor::Task<void> drop_incoming();
  reactor::Task<reactor::Result<void>> make_folder();
  reactor::Task<void> remove_older(size_t but_for);
  void keep(const SnapshotId& id, quorum::VoterSet voters);
  std::string path(const SnapshotId& id) const { return folder_ + "/" + snapshot_file(id); }
  std::string incoming_path(const SnapshotId& id) const;

  reactor::Core& core_;
  std::string data_folder_;
  std::string folder_;
  std::vector<SnapshotId> kept_;
  std::vector<std::string> rotten_;  // names of files
  bool is_loaded_ = false;
  std::optional<quorum::StoredSnapshot> newest_;
  std::optional<Incoming> incoming_;
};

}  // namespace posthaste::replication
