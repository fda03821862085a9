// The snapshots of the metadata log as files in a folder of their own: written in the background, found again at start.
// A file has its name only when it is whole and durable; what a crash left under another name is removed. The two
// newest are kept: when one of them is rotten, the one before and the log from there on say the same. It knows files
// and images, not the log.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "reactor/file.h"
#include "reactor/task.h"
#include "replication/metadata/image.h"
#include "replication/metadata/snapshot_format.h"

namespace posthaste::replication {

// Core 0.
class MetadataSnapshots {
 public:
  static constexpr std::string_view kFolder = "metadata-snapshots";  // in the data folder
  static constexpr size_t kKept = 2;

  MetadataSnapshots(reactor::Core& core, const std::string& data_folder)
      : core_(core), data_folder_(data_folder), folder_(data_folder + "/" + std::string(kFolder)) {}

  // What a start finds. Nothing without a whole snapshot.
  struct Loaded {
    SnapshotId id;
    MetadataImage image;
    uint64_t bytes = 0;
  };
  // The newest whole snapshot, and with it which ones there are. A rotten one is said in the log, counted, and passed
  // over. On error `why` names the file, for people: it is whole and of a newer program (kUnsupported), or the folder
  // cannot be read.
  reactor::Task<reactor::Result<std::optional<Loaded>>> load(std::string& why);

  // Writes one of `image` that is newer than all; durable when it returns. Older ones go, but for kKept in all. On
  // error there is no trace of it. kCancelled: `is_cancelled`, asked before each write, has said so.
  reactor::Task<reactor::Result<uint64_t>> write(SnapshotId id, MetadataImage image,
                                                 const std::function<bool()>& is_cancelled);

  // Whole as far as is known, ascending: from the first on, the log must be there.
  const std::vector<SnapshotId>& kept() const { return kept_; }
  const std::vector<std::string>& rotten() const { return rotten_; }
  const std::string& folder() const { return folder_; }

 private:
  reactor::Task<reactor::Result<std::vector<SnapshotId>>> list();
  reactor::Task<reactor::Result<Loaded>> read(SnapshotId id);
  reactor::Task<reactor::Result<uint64_t>> read_frames(reactor::File& file, SnapshotDecoder& decoder,
                                                       MetadataImage& image);
  reactor::Task<reactor::Result<uint64_t>> write_frames(reactor::File& file, const SnapshotId& id,
                                                        const MetadataImage& image,
                                                        const std::function<bool()>& is_cancelled);
  reactor::Task<reactor::Result<uint64_t>> write_file(const SnapshotId& id, const MetadataImage& image,
                                                      const std::function<bool()>& is_cancelled);
  reactor::Task<reactor::Result<void>> make_folder();
  reactor::Task<void> remove_older();
  std::string path(const SnapshotId& id) const { return folder_ + "/" + snapshot_file(id); }

  reactor::Core& core_;
  std::string data_folder_;
  std::string folder_;
  std::vector<SnapshotId> kept_;
  std::vector<std::string> rotten_;  // names of files
};

}  // namespace posthaste::replication
