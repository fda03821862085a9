// The blocks of a journal as a disk may give them back: file header, commit header, sub-blocks, records. Some inputs
// get hashes that fit, so that what lies behind the hashes is reached too.
#include "storage/journal/journal_format.h"

#include <algorithm>

#include "storage/bytes/xxh3.h"
#include "tests/fuzz/fuzz.h"

namespace posthaste::fuzz {
namespace {

using namespace posthaste::storage;

StreamId stream_of(ByteView bytes, size_t at) {
  StreamId stream{};
  if (bytes.size() >= at + stream.size())
    std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(at), stream.size(), stream.begin());
  return stream;
}

void check_records(ByteView sub_block) {
  RecordCursor cursor(sub_block);
  for (size_t count = 0;; ++count) {
    require(count <= sub_block.size(), "a cursor ends");
    const auto record = cursor.next();
    if (!record || !*record) return;
    const JournalRecord& found = **record;
    require(found.prefix.size() < kBlock && found.data.size() <= sub_block.size(), "a record lies in its sub-block");
    if (found.type == RecordType::kDataInline) continue;
    const storage::Bytes encoded_again = encode_meta_record(found);
    RecordCursor again(encoded_again);
    const auto second = again.next();
    require(second && *second && (*second)->uid == found.uid && (*second)->first_offset == found.first_offset &&
                (*second)->topic_name == found.topic_name,
            "a record comes back");
  }
}

void check_raw(ByteView bytes) {
  const ExactCopy exact(bytes);
  (void)decode_file_header(exact.view());
  const uint64_t lsn = bytes.size() >= 40 ? load_le<uint64_t>(bytes.data() + 32) : 0;
  const StreamId stream = stream_of(bytes, 16);
  const auto header = decode_commit_header(exact.view(), stream, lsn);
  if (!header) return;
  const auto sub_blocks = open_sub_blocks(*header, exact.view());
  if (!sub_blocks) return;
  for (const ByteView sub_block : *sub_blocks) check_records(sub_block);
}

// A commit whose fields are the input's, with the hashes that belong to them.
void check_made(Choices choices) {
  CommitHeader header{.stream = {std::byte{1}}, .flags = static_cast<uint16_t>(choices.number(2))};
  header.lsn = choices.number(8);
  header.sequence = choices.number(8);
  header.durable_lsn = choices.number(8);
  header.table_number = choices.number(8);
  const uint64_t cores = choices.below(4);
  header.header_bytes = commit_header_bytes(cores) + static_cast<uint32_t>(8 * choices.below(16));
  std::vector<std::byte> body;
  for (uint64_t i = 0; i < cores; ++i) {
    const Bytes used = choices.take(choices.below(5000));
    const auto core = static_cast<reactor::CoreId>(choices.below(70));
    uint64_t at = align_up(header.header_bytes + body.size());
    if (i == 0) at = header.header_bytes;
    body.resize(at - header.header_bytes);
    body.insert(body.end(), used.begin(), used.end());
    header.sub_blocks.push_back({static_cast<uint32_t>(used.size()), core, hash_sub_block(header.stream, core, used)});
  }
  std::vector<std::byte> commit(align_up(header.header_bytes + body.size()));
  header.total_bytes = static_cast<uint32_t>(commit.size());
  // Now and then it claims what it has not.
  if (choices.below(8) == 1) header.total_bytes = static_cast<uint32_t>(choices.number(4));
  if (choices.below(8) == 1 && !header.sub_blocks.empty()) {
    header.sub_blocks[0].used_bytes = static_cast<uint32_t>(choices.number(4));
  }
  std::copy(body.begin(), body.end(), commit.begin() + header.header_bytes);
  encode_commit_header(header, commit);
  if (const Bytes rest = choices.take(2); rest.size() == 2) {
    commit[std::to_integer<size_t>(rest[0]) % commit.size()] ^= rest[1];
  }
  const ExactCopy exact(commit);
  const auto decoded = decode_commit_header(exact.view(), header.stream, header.lsn);
  if (!decoded) return;
  const auto sub_blocks = open_sub_blocks(*decoded, exact.view());
  if (!sub_blocks) return;
  for (const ByteView sub_block : *sub_blocks) check_records(sub_block);
}

}  // namespace

void run_one(Bytes input) {
  if (input.empty()) return;
  const AllocationBudget budget(64 * input.size() + 65536);
  switch (std::to_integer<unsigned>(input.front()) % 3) {
    case 0:
      return check_raw(input.subspan(1));
    case 1:
      return check_records(ExactCopy(input.subspan(1)).view());
    default:
      return check_made(Choices(input.subspan(1)));
  }
}

}  // namespace posthaste::fuzz
