// posthaste-storage-crash: the storage engine alone, in the simulator, against a reference model (WS G1, G4).
//
//   posthaste-storage-crash [--every-operation] [--rot] [--verbose] [--bug NAME] [--bugs] [FIRST_SEED [COUNT]]
//
// One seed is two lives of one tiny store: random operations on 1 to 4 cores until the power goes at a random
// operation, or SIGKILL ends the process there; half of the lives end at the next flush from there on, when what was
// written is complete and not durable. On the way images are taken of what either death would leave when an operation
// has just been submitted (at some drawn ones, or after every single one), with any subset of the 512-byte sectors of
// the writes in flight kept, lost or garbage. Each image is recovered on another number of cores and compared with the
// model; then that recovery dies once to three times at any of its operations (power or SIGKILL, other cores and
// streams each time), and what the last one finds must be equal. The next life goes on from there. Half of the starts
// have journal files of the size that is there. One life in four has large batches and a tiny journal; whatever the
// sizes, every append must be answered in time. --rot instead flips one bit in each 4 KiB block of every file of a
// store in turn, and empties, cuts and exchanges segments and what stands beside them, then loses, wipes and exchanges
// whole journal files and tables of a store that was killed. --bug plants a bug (preset `planted`) and stops at the
// first seed that shows it; --bugs lists them. Half of the seeds have lives of a kind of their own besides (Kind):
// those that end while the store has hardly begun, and those on a disk that is full soon.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <vector>

#include "reactor/simulated/world.h"
#include "storage/endian.h"
#include "storage/journal_stream.h"
#include "storage/table.h"
#include "tests/storage_crash/lost_files.h"
#include "tests/storage_crash/workload.h"
#include "tests/tools/bug_hunt.h"
#include "tests/tools/seed_arguments.h"

namespace posthaste::storage_crash {
namespace {

using reactor::CoreId;
using reactor::simulated::Disk;
using reactor::simulated::Host;
using reactor::simulated::World;
using reactor::simulated::WorldOptions;
using namespace std::chrono_literals;

constexpr CoreId kCoresMax = 4;
constexpr uint32_t kLives = 2;
constexpr uint64_t kImagesPerLife = 2;  // without --every-operation
constexpr uint64_t kOperationsPerLifeMax = 500;
constexpr uint64_t kOperationsOfStart = 150;     // of a tiny store: tables, journals, and what makes the journal grow
constexpr uint64_t kTornRewritesMax = 6;         // images of a life
constexpr uint32_t kDeathsMax = 3;               // of one recovery after another
constexpr uint64_t kRottenTableEvery = 4;        // image
constexpr uint64_t kRecoveriesAfterSigkill = 2;  // what is not durable then can be lost in more ways
constexpr size_t kPoolBytes = size_t{1} << 20;
// A disk that may be filled has room for the journals of a start, and up to so much more.
constexpr uint64_t kNeverFull = uint64_t{1} << 40;
constexpr uint64_t kJournalRoom = uint64_t{1} << 20;
constexpr uint64_t kRoomMost = uint64_t{256} << 10;
constexpr uint64_t kTablesRoom = uint64_t{256} << 10;
constexpr reactor::Duration kSettle = 2s;       // of simulated time
constexpr reactor::Duration kPatience = 3600s;  // of simulated time: a life or recovery that takes longer hangs

struct Counts {
  uint64_t seeds = 0;
  uint64_t lives = 0;
  uint64_t crashes = 0;    // images recovered
  uint64_t recrashes = 0;  // deaths inside a recovery
  uint64_t appends = 0;
  uint64_t truncations = 0;
  uint64_t refused_on_full_disk = 0;
  uint64_t flips = 0;
  uint64_t misplaced = 0;  // files emptied, cut, exchanged
  uint64_t losses = 0;     // of whole files
  uint64_t repaired = 0;
  uint64_t refused = 0;
  uint64_t damaged = 0;
  uint64_t unaffected = 0;
};

struct Recovery {
  Reader reader;
  Disk disk;  // what the last recovery began with
  uint64_t operations = 0;
  uint64_t flushes = 0;
  uint32_t deaths = 0;
  std::optional<std::string> failure;
};

uint64_t below(std::mt19937_64& random, uint64_t limit) { return random() % limit; }

// How a life ended. After a SIGKILL a recovery may find what is not durable yet and was never acknowledged; a power
// loss within that recovery may take it away again.
enum class End : uint8_t { kPowerLoss, kSigkill };

std::string_view name_of(End end) { return end == End::kPowerLoss ? "power off" : "SIGKILL"; }

// How recoveries end before their time: `left` of them, each within so many operations and flushes.
struct Deaths {
  uint32_t left = 0;
  uint64_t operations = 0;
  uint64_t flushes = 0;
  bool by_power = false;  // the next one; else whatever is drawn
};

// A moment of a life: an operation, or a flush, when what it is to make durable lies in the page cache.
struct Moment {
  uint64_t operation = 0;  // not before this one
  uint64_t flush = 0;      // at so many flushes from there on; 0: at the operation itself
  bool passed = false;

  // Asked for each operation of the life, when it is in flight: true once.
  bool is_at(const reactor::Op& op, uint64_t index) {
    if (passed || index < operation) return false;
    if (flush > 0) {
      if (op.kind != reactor::OpKind::kSync) return false;
      --flush;
    }
    passed = flush == 0;
    return passed;
  }
};

// What a life is to be about. Lives of the kinds behind the first come besides those, from generators of their own:
// seeds keep their meaning.
enum class Kind : uint8_t {
  kOrdinary,
  kBrief,     // it ends while the store has hardly begun
  kFullDisk,  // the disk is full soon, and half of these lives go on to an orderly end
};

std::string_view name_of(Kind kind) {
  switch (kind) {
    case Kind::kOrdinary:
      break;
    case Kind::kBrief:
      return "brief ";
    case Kind::kFullDisk:
      return "full disk, ";
  }
  return "";
}

// Half of the moments of a life are the next flush after a drawn operation.
Moment draw_moment(std::mt19937_64& random, uint64_t operations) {
  return {.operation = 1 + below(random, operations), .flush = below(random, 2)};
}

// In a recovery operations that look are many and flushes are few: half of the moments are one of those.
Moment draw_moment(std::mt19937_64& random, const Deaths& deaths) {
  if (deaths.flushes > 0 && below(random, 2) == 0) return {.operation = 0, .flush = 1 + below(random, deaths.flushes)};
  return {.operation = 1 + below(random, deaths.operations)};
}

// Room for the files that journals begin with, and for the tables.
uint64_t journal_room(const storage::EngineOptions& options) {
  const uint64_t files = options.streams * uint64_t{storage::JournalStream::kFilesAtStart};
  return std::max(kJournalRoom, files * options.journal_file_bytes + kRoomMost);
}

// Every fourth life has a disk that it may fill. Not a draw of the life's own: seeds keep their meaning.
uint64_t draw_capacity(const Disk& disk, uint64_t seed, const storage::EngineOptions& options) {
  std::mt19937_64 random(~seed);
  if (below(random, 4) != 0) return kNeverFull;
  return disk.bytes_used() + journal_room(options) + below(random, kRoomMost);
}

// Room for what every start takes, and for little besides.
uint64_t small_capacity(const Disk& disk, std::mt19937_64& random, const storage::EngineOptions& options,
                        CoreId cores) {
  constexpr uint64_t kReservePerCore = uint64_t{64} << 10;  // the least that it is (storage/space_reserve.cc)
  const uint64_t files = options.streams * uint64_t{options.journal_files};
  const uint64_t start = files * options.journal_file_bytes + cores * kReservePerCore + kTablesRoom;
  return std::max(disk.bytes_used(), start) + below(random, kRoomMost);
}

// Write-back that writes a block of a file again: such a write, torn, can take what was flushed before with it.
class Rewrites {
 public:
  bool is_one(const reactor::Op& op) {
    // Tables and new journal files are made durable by a flush of their own.
    const bool is_write = op.kind == reactor::OpKind::kWrite && (op.flags & reactor::kWriteDurable) != 0;
    if (!is_write || op.io_class != reactor::IoClass::kWriteBack) return false;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < op.slice_count; ++i) bytes += op.slices[i].size;
    uint64_t& end = ends_[op.file.value];
    const bool again = op.offset < end;
    end = std::max(end, op.offset + bytes);
    return again;
  }

 private:
  std::map<int32_t, uint64_t> ends_;  // a number that another file got may count one too many
};

// Ends the life of a host at operation `index`. What comes later in the same batch is not submitted before a power
// loss.
void end_life(Host& host, End end, uint64_t index) {
  end == End::kSigkill ? host.kill() : host.crash_after_operations(index);
}

// The tables that a start would take: the numbers of those that are whole.
std::vector<std::pair<uint64_t, std::string>> whole_tables(const Disk& disk) {
  std::vector<std::pair<uint64_t, std::string>> tables;
  for (const char* path : {"/data/table-0.snap", "/data/table-1.snap"}) {
    const auto bytes = disk.read_file(path);
    if (!bytes) continue;
    const auto table = storage::decode_table(*bytes);
    if (table) tables.emplace_back(table->number, path);
  }
  return tables;
}

// Half of the starts have journal files of the size that is there, as those of a broker that nobody reconfigures: then
// what an earlier life has left is used on. Not a draw of the start's own: seeds keep their meaning.
void keep_journal_size(storage::EngineOptions& options, CoreId cores, const Disk& disk, uint64_t seed,
                       bool always = false) {
  std::mt19937_64 random(seed ^ 0x6b65707473697a65);
  const auto tables = whole_tables(disk);
  if ((!always && below(random, 2) == 0) || tables.empty()) return;
  const auto table = storage::decode_table(*disk.read_file(std::ranges::max(tables).second));
  const uint64_t bytes = table->streams.front().file_bytes;
  if (bytes < least_journal_file_bytes(options, cores)) return;
  options.journal_file_bytes = bytes;
  options.commit_bytes_max = static_cast<uint32_t>(std::min<uint64_t>(options.commit_bytes_max, bytes - 2 * 4096));
}

// Recovers a copy of `disk`, after `deaths` recoveries that were not completed.
Recovery recover(const Disk& disk, uint64_t seed, Deaths deaths) {
  std::mt19937_64 random(seed);
  Recovery recovery;
  recovery.disk = disk;
  World world(seed, WorldOptions::instant());
  const auto cores = static_cast<CoreId>(1 + below(random, kCoresMax));
  Host& host = world.add_host({.cores = cores, .pool_bytes_per_core = kPoolBytes}, "10.0.0.1", {});
  host.disk() = disk;
  recovery.reader.options = tiny_options(random, cores);
  keep_journal_size(recovery.reader.options, cores, disk, seed);
  // A start with larger or more journals than before needs room for these.
  uint64_t& capacity = host.disk().options().capacity_bytes;
  if (capacity < kNeverFull) capacity += journal_room(recovery.reader.options);
  host.set_program(recovery.reader.program());
  Moment death;
  death.passed = deaths.left == 0;
  if (deaths.left > 0) death = draw_moment(random, deaths);
  const End end = deaths.by_power || below(random, 3) > 0 ? End::kPowerLoss : End::kSigkill;
  host.on_submit([&](const reactor::Op& op, uint64_t index) {
    if (op.kind == reactor::OpKind::kSync) ++recovery.flushes;
    if (death.is_at(op, index)) end_life(host, end, index);
  });
  host.start();
  world.run_until([&] { return recovery.reader.done || !host.running(); }, kPatience);
  const bool died =
      host.state() == reactor::simulated::HostState::kOff || host.state() == reactor::simulated::HostState::kKilled;
  if (deaths.left > 0 && died) {
    --deaths.left;
    deaths.by_power = false;
    Recovery next = recover(host.disk(), seed + 1, deaths);
    ++next.deaths;
    return next;
  }
  recovery.operations = host.operations_submitted();
  if (!recovery.reader.done) {
    recovery.failure = host.running() ? "recovery hangs" : fmt::format("recovery died: {}", host.fatal_message());
    recovery.failure = *recovery.failure + "\n" + world.log_tail();
  }
  if (host.running()) host.kill();
  return recovery;
}

// What is wrong with a store that recovered. Nobody but the store puts anything into its folder.
std::optional<std::string> find_fault(const Reader& reader, const Model& model) {
  if (reader.report.foreign > 0) return "what the store has made itself counts as somebody else's: " + reader.notes();
  return compare(model, reader.image, false);
}

// Either of two whole tables may turn out rotten, also together with a crash: the other one and the journal hold all.
std::optional<std::string> check_rotten_table(const Disk& disk, const Model& model, uint64_t seed, Counts& counts) {
  std::mt19937_64 random(seed);
  auto tables = whole_tables(disk);
  if (tables.size() < 2) return std::nullopt;
  std::ranges::sort(tables);
  const std::string& path = tables[below(random, 4) == 0 ? 0 : 1].second;  // mostly the newest
  Disk rotten(disk);
  const uint64_t bytes = rotten.stat(path)->size_bytes;
  if (!rotten.flip_bit(path, below(random, std::min<uint64_t>(bytes, 64)), static_cast<uint32_t>(below(random, 8)))) {
    return std::nullopt;
  }
  ++counts.crashes;
  const Recovery recovery = recover(rotten, seed, {});
  std::optional<std::string> wrong = recovery.failure;
  if (!wrong && recovery.reader.refused) wrong = "recovery refused: " + recovery.reader.refusal;
  if (!wrong) wrong = compare(model, recovery.reader.image, false);
  if (wrong) return fmt::format("{} was rotten too: {}", path, *wrong);
  return std::nullopt;
}

// Recovers and compares, then the same with deaths inside the recovery. `disk` becomes what those left behind and
// `image`, if there is one, what is in it. `decided`: the life had recovered, so that a table of before tells the same.
std::optional<std::string> check_image(Disk& disk, const Model& model, uint64_t seed, End end, bool decided,
                                       Image* image, Counts& counts) {
  ++counts.crashes;
  Recovery once = recover(disk, seed, {});
  if (once.failure) return once.failure;
  if (once.reader.refused) {
    return fmt::format("recovery refused: {} {}", to_string(*once.reader.refused), once.reader.refusal);
  }
  if (auto wrong = find_fault(once.reader, model)) return wrong;
  if (decided && seed % kRottenTableEvery == 0) {
    if (auto wrong = check_rotten_table(disk, model, seed, counts)) return wrong;
  }
  std::mt19937_64 random(seed);
  Recovery again;
  for (uint64_t i = 0; i < (end == End::kSigkill ? kRecoveriesAfterSigkill : 1); ++i) {
    const Deaths deaths{.left = static_cast<uint32_t>(below(random, 2) == 0 ? 1 : 2 + below(random, kDeathsMax - 1)),
                        .operations = once.operations,
                        .flushes = once.flushes,
                        .by_power = end == End::kSigkill};
    again = recover(disk, seed + 7 * (i + 1), deaths);
    counts.recrashes += again.deaths;
    if (again.failure) return fmt::format("after {} deaths in recovery: {}", again.deaths, *again.failure);
    if (again.reader.refused) {
      return fmt::format("refused after {} deaths in recovery: {}", again.deaths, again.reader.refusal);
    }
    auto wrong = find_fault(again.reader, model);
    if (wrong || (end == End::kPowerLoss && again.reader.image != once.reader.image)) {
      return fmt::format("{} deaths in recovery changed what is there: {}", again.deaths,
                         wrong.value_or("still allowed"));
    }
  }
  disk = again.disk;
  if (image != nullptr) *image = again.reader.image;
  return std::nullopt;
}

struct Pending {
  Disk disk;
  Model model;
  uint64_t index;
  End end;
  bool decided;
};

struct Settings {
  bool every_operation = false;
  bool rot = false;
  bool verbose = false;
  bool list_bugs = false;
  std::string bug;
};

// What is left of a write that tears tells the same as what was there before, or more.
std::optional<std::string> check_torn_rewrite(const Pending& torn, uint64_t seed, Counts& counts) {
  ++counts.crashes;
  const Recovery recovery = recover(torn.disk, seed, {});
  std::optional<std::string> wrong = recovery.failure;
  if (!wrong && recovery.reader.refused) wrong = "recovery refused: " + recovery.reader.refusal;
  if (!wrong) wrong = find_fault(recovery.reader, torn.model);
  if (wrong) return fmt::format("the write-back of operation {} is torn: {}", torn.index, *wrong);
  return std::nullopt;
}

// One life on `disk`, which it changes; `work.model` goes on to the next life.
std::optional<std::string> run_life(Disk& disk, Workload& work, Kind kind, uint64_t seed, const Settings& settings,
                                    Counts& counts) {
  std::mt19937_64 random(seed);
  ++counts.lives;
  World world(seed, below(random, 2) == 0 ? WorldOptions::instant() : WorldOptions::swarm(seed));
  world.options().log_to_stdout = settings.verbose;
  const auto cores = static_cast<CoreId>(1 + below(random, kCoresMax));
  Host& host = world.add_host({.cores = cores, .pool_bytes_per_core = kPoolBytes}, "10.0.0.1", {});
  host.disk() = disk;
  work.options = tiny_options(random, cores);
  work.large = LargeBatches::draw(seed);
  if (work.large) work.large->change(work.options, cores);
  keep_journal_size(work.options, cores, disk, seed, kind == Kind::kBrief);
  host.disk().options().capacity_bytes = draw_capacity(host.disk(), seed, work.options);
  std::mt19937_64 kind_random(seed ^ 0x6b696e64);
  if (kind == Kind::kFullDisk) {
    host.disk().options().capacity_bytes = small_capacity(host.disk(), kind_random, work.options, cores);
  }
  work.steps_left = 20 + below(random, 300);
  work.closed = work.recovered = false;
  End end = below(random, 3) == 0 ? End::kSigkill : End::kPowerLoss;
  Moment death = draw_moment(random, kind == Kind::kBrief ? kOperationsOfStart : kOperationsPerLifeMax);
  std::vector<Moment> wanted;
  wanted.reserve(kImagesPerLife);
  for (uint64_t i = 0; i < kImagesPerLife; ++i) wanted.push_back(draw_moment(random, death.operation));
  if (kind == Kind::kFullDisk && below(kind_random, 2) == 0) death.passed = true;
  // A SIGKILL that comes before a flush leaves what the next start may take for durable.
  if (kind == Kind::kBrief && below(kind_random, 2) == 0) {
    end = End::kSigkill;
    death.flush = 1;
  }
  std::vector<Pending> pending;
  std::vector<Pending> torn;
  Rewrites rewrites;
  reactor::simulated::Random fates(seed);
  reactor::simulated::Random torn_fates(~seed);
  host.on_submit([&](const reactor::Op& op, uint64_t index) {
    if (death.is_at(op, index)) end_life(host, end, index);
    if (work.large && rewrites.is_one(op) && torn.size() < kTornRewritesMax) {
      const reactor::simulated::CrashPolicy policy{.in_flight = reactor::simulated::Fate::kGarbage};
      torn.push_back({host.disk().crash_image(torn_fates, policy), work.model, index, End::kPowerLoss, work.recovered});
    }
    bool is_wanted = settings.every_operation;
    for (Moment& moment : wanted) is_wanted |= moment.is_at(op, index);
    if (!is_wanted) return;
    const End as = fates.below(2) == 0 ? End::kSigkill : End::kPowerLoss;
    Disk image = as == End::kSigkill ? host.disk().killed_image(fates) : host.disk().crash_image(fates, {});
    pending.push_back({std::move(image), work.model, index, as, work.recovered});
  });
  host.set_program(work.program());
  host.start();
  world.run_until([&] { return work.closed || work.failure || !host.running(); }, kPatience);
  auto explain = [&](const std::string& what) {
    return fmt::format("{} cores, {} streams{}: {}\n{}", cores, work.options.streams, work.large ? ", large" : "", what,
                       world.log_tail());
  };
  if (work.failure) return explain(*work.failure);
  if (host.state() == reactor::simulated::HostState::kFatal) return explain("fatal: " + host.fatal_message());
  if (host.running() && !work.closed) return explain("the store hangs");
  if (host.disk().stats().overlapping_writes > 0) return explain("two writes in flight over one block (S5)");
  if (host.running()) end == End::kPowerLoss ? host.power_off() : host.kill();
  for (Pending& image : pending) {
    if (auto wrong =
            check_image(image.disk, image.model, seed ^ image.index, image.end, image.decided, nullptr, counts)) {
      return explain(fmt::format("{} after operation {}: {}", name_of(image.end), image.index, *wrong));
    }
  }
  for (const Pending& image : torn) {
    if (auto wrong = check_torn_rewrite(image, seed ^ image.index, counts)) return explain(*wrong);
  }
  // After a brief life the next one finds what the death has left, not what recoveries that die have made of it.
  const Disk left(host.disk());
  Image last;
  if (auto wrong = check_image(host.disk(), work.model, seed + 3, end, work.recovered, &last, counts)) {
    return explain(fmt::format("{} after operation {}: {}", name_of(end), host.operations_submitted(), *wrong));
  }
  // What the next life finds after a SIGKILL it decides by itself (Driver::run).
  if (end == End::kPowerLoss) adopt(work.model, last);
  disk = kind == Kind::kBrief ? left : host.disk();
  return std::nullopt;
}

// A store's lives one after the other: of each its kind and its seed.
std::optional<std::string> run_lives(uint64_t seed, const std::vector<std::pair<Kind, uint64_t>>& lives,
                                     const Settings& settings, Counts& counts) {
  Workload work(seed);
  Disk disk;
  for (size_t life = 0; life < lives.size(); ++life) {
    const auto [kind, life_seed] = lives[life];
    if (auto wrong = run_life(disk, work, kind, life_seed, settings, counts)) {
      return fmt::format("{}life {}: {}", name_of(kind), life, *wrong);
    }
  }
  counts.appends += work.appends;
  counts.truncations += work.truncations;
  counts.refused_on_full_disk += work.refused_on_full_disk;
  return std::nullopt;
}

std::optional<std::string> run_seed(uint64_t seed, const Settings& settings, Counts& counts) {
  ++counts.seeds;
  std::vector<std::pair<Kind, uint64_t>> lives;
  lives.reserve(kLives);
  for (uint32_t life = 0; life < kLives; ++life) lives.emplace_back(Kind::kOrdinary, seed * kLives + life);
  if (auto wrong = run_lives(seed, lives, settings, counts)) return wrong;
  std::mt19937_64 random(seed ^ 0x62657369646573);
  const uint64_t besides = below(random, 4);
  if (besides == 0) {
    lives = {{Kind::kBrief, random()}, {Kind::kBrief, random()}, {Kind::kOrdinary, random()}};
  } else if (besides == 1) {
    lives = {{Kind::kFullDisk, random()}, {Kind::kOrdinary, random()}};
  } else {
    return std::nullopt;
  }
  return run_lives(random(), lives, settings, counts);
}

std::string_view extension_of(const std::string& path) {
  return std::string_view(path).substr(std::min(path.rfind('.'), path.size()));
}

// Files that an operator's mistake changes as a whole: emptied, cut, exchanged with another of its kind.
std::vector<std::pair<std::string, Disk>> misplaced(const Disk& whole, std::mt19937_64& random) {
  std::vector<std::pair<std::string, Disk>> disks;
  const std::vector<std::string> files = whole.all_files();
  for (const std::string& path : files) {
    const std::string_view extension = extension_of(path);
    if (extension != ".log" && extension != ".index" && extension != ".snapshot") continue;
    const auto bytes = whole.read_file(path);
    if (!bytes || bytes->empty()) continue;
    const std::span<const std::byte> content(*bytes);
    disks.emplace_back("emptied " + path, whole).second.write_file(path, {});
    disks.emplace_back("cut " + path, whole).second.write_file(path, content.first(below(random, content.size())));
    std::vector<std::string> others;
    for (const std::string& other : files) {
      if (other != path && extension_of(other) == extension) others.push_back(other);
    }
    if (others.empty()) continue;
    const std::string& other = others[below(random, others.size())];
    Disk& disk = disks.emplace_back(fmt::format("{} exchanged with {}", path, other), whole).second;
    disk.write_file(path, *whole.read_file(other));
    disk.write_file(other, content);
  }
  return disks;
}

// Recovers and reads a damaged disk: what is served must be the model's.
std::optional<std::string> check_damaged(const Disk& disk, const Workload& work, uint64_t seed, Counts& counts) {
  const Recovery recovery = recover(disk, seed, {});
  if (recovery.failure) return recovery.failure;
  if (recovery.reader.refused) {
    ++counts.refused;
    return std::nullopt;
  }
  if (auto wrong = compare(work.model, recovery.reader.image, true)) return wrong;
  bool is_damaged = false;
  for (const auto& [id, found] : recovery.reader.image) is_damaged |= found.damaged;
  ++(is_damaged ? counts.damaged : recovery.reader.report.repaired > 0 ? counts.repaired : counts.unaffected);
  return std::nullopt;
}

// A store with everything settled by SIGKILL (nothing torn), then one flipped bit per block in turn, then whole files.
std::optional<std::string> run_rot(uint64_t seed, const Settings& settings, Counts& counts) {
  ++counts.seeds;
  Workload work(seed);
  World world(seed, WorldOptions::instant());
  world.options().log_to_stdout = settings.verbose;
  Host& host = world.add_host({.cores = 1, .pool_bytes_per_core = kPoolBytes}, "10.0.0.1", {});
  work.options = tiny_options(work.random, 1);
  work.steps_left = 200;
  host.set_program(work.program());
  const uint64_t stop_after = 30 + below(work.random, 200);
  host.start();
  world.run_until(
      [&] { return work.closed || work.failure || host.operations_submitted() >= stop_after || !host.running(); },
      kPatience);
  // An idle stream vouches for its last commit within some milliseconds; before that, rot there looks like a tear.
  work.paused = true;
  world.run_until([&] { return work.closed || !host.running(); }, kSettle);
  if (work.failure) return work.failure;
  if (host.running()) host.kill();
  const Recovery whole = recover(host.disk(), seed, {});
  if (whole.failure) return whole.failure;
  if (auto wrong = compare(work.model, whole.reader.image, false)) return wrong;
  for (const std::string& path : host.disk().all_files()) {
    if (path.ends_with("/.reserve")) continue;  // its bytes have no meaning
    const auto stat = host.disk().stat(path);
    for (uint64_t block = 0; stat && block < stat->size_bytes; block += reactor::kBlockBytes) {
      Disk rotten(host.disk());
      const uint64_t length = std::min<uint64_t>(reactor::kBlockBytes, stat->size_bytes - block);
      const uint64_t byte = block + below(work.random, length);
      if (!rotten.flip_bit(path, byte, static_cast<uint32_t>(below(work.random, 8)))) continue;
      ++counts.flips;
      if (auto wrong = check_damaged(rotten, work, seed, counts)) {
        return fmt::format("bit flipped in {} at {}: {}", path, byte, *wrong);
      }
    }
  }
  // A generator of its own: what a seed does above does not change with what is added here.
  std::mt19937_64 misplacing(seed ^ 0x6d6973706c616365);
  for (const auto& [what, disk] : misplaced(host.disk(), misplacing)) {
    ++counts.misplaced;
    if (auto wrong = check_damaged(disk, work, seed, counts)) return fmt::format("{}: {}", what, *wrong);
  }
  return std::nullopt;
}

// What a store is allowed to show when files of it were lost.
struct KilledStore {
  Files earlier;  // as an earlier life left it
  Files now;
  Model before_last_commit;  // acknowledged before the last commit was submitted
  std::optional<std::string> failure;
};

// One life that ends by SIGKILL when nothing is under way; `store.now` is where it begins and what it leaves.
void live_and_die(Workload& work, std::mt19937_64& random, uint64_t seed, const Settings& settings,
                  KilledStore& store) {
  World world(seed, WorldOptions::instant());
  world.options().log_to_stdout = settings.verbose;
  const auto cores = static_cast<CoreId>(1 + below(random, 3));
  Host& host = world.add_host({.cores = cores, .pool_bytes_per_core = kPoolBytes}, "10.0.0.1", {});
  host.disk() = disk_of(store.now);
  work.options = tiny_options(random, cores);
  // One stream has one last commit.
  work.options.streams = 1;
  work.options.journal_file_bytes = std::max(work.options.journal_file_bytes, uint64_t{4096} * (1 + 3 * cores));
  work.steps_left = UINT64_MAX;
  work.paused = false;
  bool serving = false;
  host.on_submit([&](const reactor::Op& op, uint64_t) {
    // A commit begins with its magic; what was acknowledged when the last one began is behind two files.
    constexpr uint32_t kCommitMagic = 0x434a4850;
    if (op.kind != reactor::OpKind::kWrite || op.io_class != reactor::IoClass::kJournal) return;
    serving = true;
    if (storage::load_le<uint32_t>(op.slices[0].data) == kCommitMagic) store.before_last_commit = work.model;
  });
  host.set_program(work.program());
  host.start();
  world.run_until([&] { return serving || work.failure || !host.running(); }, kPatience);
  const uint64_t stop_after = host.operations_submitted() + below(random, 600);
  world.run_until([&] { return work.failure || !host.running() || host.operations_submitted() >= stop_after; },
                  kPatience);
  work.paused = true;
  // In half of the lives the stream gets to vouch for its last commit.
  if (below(random, 2) == 0) world.run_until([&] { return work.failure || !host.running(); }, kSettle);
  world.run_until([&] { return work.failure || !host.running() || host.disk().in_flight() == 0; }, kPatience);
  if (host.state() == reactor::simulated::HostState::kFatal) store.failure = "fatal: " + host.fatal_message();
  if (work.failure) store.failure = work.failure;
  if (host.running()) host.kill();
  store.now = files_of(host.disk());
}

// Journal files and tables of a killed store are lost, one kind of loss after the other. What was acknowledged is
// there, or its range or the whole store is refused by name; but for the last commit, of which no other file need tell.
std::optional<std::string> run_lost(uint64_t seed, const Settings& settings, Counts& counts) {
  std::mt19937_64 random(seed);
  Workload work(seed);
  KilledStore store;
  live_and_die(work, random, seed, settings, store);
  store.earlier = store.now;
  // Of another seed: streams of two lives have different ids.
  if (!store.failure) live_and_die(work, random, ~seed, settings, store);
  if (store.failure) return store.failure;
  for (const LostFiles& lost : lose_files(store.now, store.earlier, random)) {
    ++counts.losses;
    Recovery recovery = recover(disk_of(lost.files), seed, {});
    if (recovery.failure) return fmt::format("{}: {}", lost.what, *recovery.failure);
    if (recovery.reader.refused) {
      ++counts.refused;
      if (recovery.reader.refusal.empty()) return fmt::format("{}: refused, and nothing says why", lost.what);
      continue;
    }
    auto wrong = compare(work.model, recovery.reader.image, true);
    if (wrong && compare(store.before_last_commit, recovery.reader.image, true)) {
      return fmt::format("{}: {}", lost.what, *wrong);
    }
    ++(recovery.reader.report.repaired > 0 ? counts.repaired : counts.unaffected);
  }
  return std::nullopt;
}

int run(const Settings& settings, uint64_t first, uint64_t count) {
  Counts counts;
  uint64_t failed = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    tests::BugHunt::at_seed(seed);
    auto wrong = settings.rot ? run_rot(seed, settings, counts) : run_seed(seed, settings, counts);
    if (settings.rot && !wrong) wrong = run_lost(seed, settings, counts);
    if (wrong && !settings.bug.empty()) return tests::BugHunt::found(*wrong);
    if (wrong) {
      ++failed;
      fmt::print("seed {}: {}\n", seed, *wrong);
      std::fflush(stdout);
    }
    if ((seed - first + 1) % 1000 == 0) {
      fmt::print("{} seeds, {} crashes recovered\n", seed - first + 1, counts.crashes);
      std::fflush(stdout);
    }
  }
  if (!settings.bug.empty()) return tests::BugHunt::missed(count);
  if (settings.rot) {
    fmt::print(
        "{} seeds: {} bits flipped, {} files emptied, cut or exchanged, {} files lost: {} unaffected, {} repaired, {} "
        "partitions damaged and said so, {} stores refused\n",
        counts.seeds, counts.flips, counts.misplaced, counts.losses, counts.unaffected, counts.repaired, counts.damaged,
        counts.refused);
  } else {
    fmt::print(
        "{} seeds: {} lives, {} appends, {} truncations, {} refused on a full disk, {} crashes recovered, {} deaths "
        "inside "
        "recovery\n",
        counts.seeds, counts.lives, counts.appends, counts.truncations, counts.refused_on_full_disk, counts.crashes,
        counts.recrashes);
  }
  fmt::print("{} passed, {} failed\n", counts.seeds - failed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace posthaste::storage_crash

int main(int argc, char** argv) {
  using namespace posthaste::storage_crash;
  Settings settings;
  const auto seeds = posthaste::tests::parse_seed_arguments(argc, argv,
                                                            {{"--every-operation", &settings.every_operation},
                                                             {"--rot", &settings.rot},
                                                             {"--verbose", &settings.verbose},
                                                             {"--bugs", &settings.list_bugs},
                                                             {.name = "--bug", .text = &settings.bug}});
  if (!seeds) return 2;
  if (settings.list_bugs) {
    using namespace posthaste::reactor;
    posthaste::tests::BugHunt::list(settings.rot ? kStorageRot : kStorageCrash);
    return 0;
  }
  if (settings.bug.empty()) {
    posthaste::tests::BugHunt::watch();
  } else if (!posthaste::tests::BugHunt::begin(settings.bug)) {
    return 2;
  }
  return run(settings, seeds->first, seeds->count);
}
