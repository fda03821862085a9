#include "app/journal_fit.h"

#include <fmt/format.h>

#include <filesystem>

#include "reactor/uring/machine.h"
#include "storage/journal/journal_stream.h"

namespace posthaste::app {

DiskSpace look_at_space(const std::string& folder) {
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(folder, error);
  while (!error && !std::filesystem::exists(path, error) && path.has_relative_path()) path = path.parent_path();
  const std::filesystem::space_info space = std::filesystem::space(path, error);
  if (error) return {};
  return {.total_bytes = space.capacity, .in_memory = reactor::uring::is_in_memory(path.string())};
}

std::optional<std::string> journal_problem(const BrokerConfig& config, const storage::EngineOptions& engine,
                                           DiskSpace space) {
  if (space.total_bytes == 0) return std::nullopt;
  // A default journal grows as far as there is room; a configured size is a requirement.
  const bool is_given = config.journal_bytes > 0;
  const uint64_t files =
      uint64_t{engine.streams} * (is_given ? engine.journal_files : storage::JournalStream::kFilesAtStart);
  if (engine.journal_file_bytes <= space.total_bytes / files) return std::nullopt;
  const uint64_t most = space.total_bytes / engine.streams / 2;
  return fmt::format(
      "posthaste.journal.bytes={}: {} stream(s) of {} files of {} bytes do not fit on the file system of {}, which has "
      "{} "
      "bytes in all: set it to {} or less, or pass a folder on a larger one with --data",
      is_given ? std::to_string(config.journal_bytes) : "(default)", engine.streams, files / engine.streams,
      engine.journal_file_bytes, config.data_folder, space.total_bytes, most);
}

}  // namespace posthaste::app
