#include "broker/server.h"

#include <algorithm>
#include <array>

#include "broker/listening.h"
#include "broker/node_identity.h"
#include "broker/partitions/applier.h"
#include "broker/start_report.h"
#include "reactor/mail.h"
#include "replication/controller.h"

namespace posthaste::broker {
namespace {

using reactor::Core;
using reactor::CoreId;
using reactor::Errc;
using reactor::Result;
using reactor::Task;
using replication::Controller;
using replication::ControllerOptions;
using replication::MetadataSnapshots;
using replication::Registration;
using EngineHostPointer = std::shared_ptr<storage::EngineHost>;

// How often a broker logs how many connections it refused or cut off, if there were any.
constexpr reactor::Duration kReportInterval = std::chrono::minutes(1);

Task<void> report_cut_off(Core& core, std::string_view event, const net::NetStats& stats, reactor::Event& over) {
  uint64_t reported = 0;
  while (!co_await over.wait_until(core.now() + kReportInterval)) {
    if (stats.cut_off() == reported) continue;
    reported = stats.cut_off();
    core.log(reactor::LogLevel::kInfo, event, stats.describe());
  }
}

// What an operator can do about an error of the data folder; empty if the error says it.
std::string_view remedy(Errc error) {
  switch (error) {
    case Errc::kBusy:
      return "it is in use by another process: stop that, or pass another folder with --data";
    case Errc::kNoSpace:
      return "free space on its file system, make the journal smaller (posthaste.journal.bytes), or pass another "
             "folder "
             "with --data";
    case Errc::kPermission:
      return "make all of it readable and writable for the user that the broker runs as (chown -R USER FOLDER), or "
             "pass "
             "another folder with --data";
    case Errc::kNoSuchOperation:
    case Errc::kInvalidArgument:
      return "its file system must offer O_DIRECT and fallocate, as ext4, xfs and btrfs do: pass a folder on such a "
             "one "
             "with --data";
    case Errc::kFileTooLarge:
      return "a file of the journal is larger than its file system or ulimit -f allows: lower posthaste.journal.bytes, "
             "or "
             "pass another folder with --data";
    case Errc::kNoMemory:
      return "raise posthaste.memory.bytes, or lower posthaste.cores";
    case Errc::kTooManyFiles:
      return "raise the limit of open files (ulimit -n, LimitNOFILE)";
    case Errc::kIoError:
      return "the kernel's log (dmesg) says what the device did; replace it, or pass another folder with --data";
    default:
      return {};
  }
}

// `what`: the part of the folder that could not be opened.
std::string storage_failure(const std::string& folder, std::string_view what, const storage::EngineHost& engine,
                            Errc error) {
  std::string why = fmt::format("{} {} cannot be opened ({})", what, folder, to_string(error));
  if (!engine.error_text().empty()) why += ": " + engine.error_text();
  if (const std::string_view todo = remedy(error); !todo.empty()) why += fmt::format(": {}", todo);
  return why;
}

Registration registration(const NodeIdentity& identity, const std::vector<Endpoint>& endpoints) {
  Registration self{.node_id = identity.node_id, .directory_id = identity.directory_id, .endpoints = {}};
  for (const Endpoint& endpoint : endpoints) {
    self.endpoints.push_back({.name = endpoint.listener, .host = endpoint.host, .port = endpoint.port});
  }
  return self;
}

ControllerOptions controller_options(const BrokerOptions& options) {
  return {.rules = options.topics, .given = options.given, .connections_possible = options.connections_possible};
}

}  // namespace

std::string_view describe(Stage stage) {
  switch (stage) {
    case Stage::kStarting:
      return "the step of the start that is under way";
    case Stage::kServing:
      return "core 0 to take notice";
    case Stage::kFinishingRequests:
      return "requests under way and their connections";
    case Stage::kFinishingChanges:
      return "changes of topics and groups under way";
    case Stage::kWritingBack:
      return "records on their way from the journal to their files";
  }
  return "nothing";
}

// What core 0 counts for all.
struct BrokerHost::Progress {
  explicit Progress(Core& core) : changed(core), report(core) {}
  reactor::Event changed;
  StartReport report;
  bool failed = false;
  bool all_opened = false;  // every core reached kOpened and none had failed by then
  bool recovered = false;
  bool is_format_due = false;                 // the folder does not say yet that it is of today's format
  std::weak_ptr<storage::EngineHost> engine;  // once recovered; core 0's program holds it
  storage::RecoveryReport recovery;
  bool created = false;
  std::array<CoreId, kMilestones> reached{};
};

BrokerHost::BrokerHost() = default;
BrokerHost::~BrokerHost() = default;

// The program's coroutines.
class BrokerProgram {
 public:
  // On every core the engine's host is held by the first local of the outermost frame, so that it goes last, whichever
  // core goes last.
  static Task<void> run(Core& core, std::shared_ptr<const BrokerOptions> options, std::shared_ptr<BrokerHost> host) {
    EngineHostPointer engine_host;
    OpenedFolder folder;
    if (core.id() == 0) {
      core.scope().spawn_job(progress(*host, core).report.run());
      engine_host = co_await open_storage(core, *options, *host, folder);
    } else {
      auto work = [&](Core& zero) { return wait_recovered(*host, zero); };
      engine_host = co_await reactor::on_core(core, 0, std::move(work));
    }
    if (engine_host != nullptr) {
      const bool all_opened = co_await run_core(core, *options, *host, *engine_host, folder.identity);
      if (core.id() == 0) co_await close_storage(core, *engine_host, all_opened);
    }
    if (folder.lock.valid()) co_await folder.lock.close();
  }

 private:
  // Core 0's counters; made by whichever comes first, its program or mail from another core.
  static BrokerHost::Progress& progress(BrokerHost& host, Core& zero) {
    if (host.progress_ == nullptr) host.progress_ = std::make_unique<BrokerHost::Progress>(zero);
    return *host.progress_;
  }

  // Logged at once and not only at the end, so that an operator need not wait for the reason. A start that is stopped
  // has not failed, although a part of it may have ended with an error.
  static void fail(BrokerHost& host, Core& zero, std::string why) {
    BrokerHost::Progress& state = progress(host, zero);
    state.failed = true;
    state.report.end();
    state.changed.notify_all();
    if (zero.stopping()) return zero.log(reactor::LogLevel::kInfo, "start_given_up", why);
    if (!host.failure_.empty()) return;
    zero.log(reactor::LogLevel::kError, "cannot_start", why);
    host.failure_ = std::move(why);
  }

  static Task<EngineHostPointer> wait_recovered(BrokerHost& host, Core& zero) {
    BrokerHost::Progress& state = progress(host, zero);
    while (!state.recovered && !state.failed) co_await state.changed.wait();
    co_return state.failed ? nullptr : state.engine.lock();
  }

  // On core 0: counts one core, then waits for all. True if all cores had opened their engines: the same for each.
  static Task<bool> wait_all(BrokerHost& host, Core& zero, Milestone milestone) {
    BrokerHost::Progress& state = progress(host, zero);
    CoreId& reached = state.reached[static_cast<size_t>(milestone)];
    ++reached;
    if (milestone == Milestone::kOpened && reached == zero.core_count()) state.all_opened = !state.failed;
    state.changed.notify_all();
    while (reached < zero.core_count()) co_await state.changed.wait();
    co_return state.all_opened;
  }

  static Task<bool> reach(Core& core, BrokerHost& host, Milestone milestone) {
    auto work = [&](Core& zero) { return wait_all(host, zero, milestone); };
    co_return co_await reactor::on_core(core, 0, std::move(work));
  }

  static Task<void> tell_failure(Core& core, BrokerHost& host, std::string why) {
    auto work = [&](Core& zero) { fail(host, zero, why); };
    co_await reactor::on_core(core, 0, std::move(work));
  }

  // Core 0: the folder and its recovery. Null: failed, and all cores know it.
  static Task<EngineHostPointer> open_storage(Core& core, const BrokerOptions& options, BrokerHost& host,
                                              OpenedFolder& folder) {
    auto opened = co_await open_folder(core, options.data_folder, options.node_id, options.cluster_id);
    if (!opened) {
      fail(host, core, opened.error().message);
      co_return nullptr;
    }
    folder = std::move(*opened);
    storage::EngineOptions engine_options = options.engine;
    engine_options.data_directory = options.data_folder;
    engine_options.owner = store_owner(folder.identity);
    engine_options.must_exist = folder.has_store;
    engine_options.owners_entries = identity_files();
    engine_options.owners_entries.emplace_back(MetadataSnapshots::kFolder);
    std::ranges::copy(replication::quorum::vote_files(), std::back_inserter(engine_options.owners_entries));
    auto engine_host = std::make_shared<storage::EngineHost>(std::move(engine_options), core.core_count());
    StartReport& start = progress(host, core).report;
    start.begin(engine_host->recovery_progress());
    Result<storage::RecoveryReport> report = co_await engine_host->recover(core);
    start.begin("opening the partitions");
    if (!report) {
      fail(host, core, storage_failure(options.data_folder, "the data folder", *engine_host, report.error()));
      co_return nullptr;
    }
    if (!folder.identity.has_tables || folder.older_format) {
      Result<void> noted = co_await note_tables(core, options.data_folder, folder.identity);
      // A full disk is no reason not to serve what is there.
      progress(host, core).is_format_due = !noted && folder.older_format;
      if (!noted && noted.error() != Errc::kNoSpace) {
        fail(host, core,
             fmt::format("cannot write to the data folder {} ({})", options.data_folder, to_string(noted.error())));
        co_return nullptr;
      }
    }
    BrokerHost::Progress& state = progress(host, core);
    state.recovery = std::move(*report);
    state.created = folder.created;
    core.log(reactor::LogLevel::kDebug, "recovered",
             fmt::format("created={} partitions={} records={} bytes={}", state.created, state.recovery.partitions,
                         state.recovery.records_replayed, state.recovery.bytes_replayed));
    state.engine = engine_host;
    state.recovered = true;
    state.changed.notify_all();
    co_return engine_host;
  }

  // One core from its engine's opening to its closing. False if a core could not open its engine, and so none serves.
  static Task<bool> run_core(Core& core, const BrokerOptions& options, BrokerHost& host,
                             storage::EngineHost& engine_host, const NodeIdentity& identity) {
    Result<storage::Engine*> engine = co_await engine_host.open(core);
    bool all_opened = false;
    if (engine) {
      all_opened = co_await run_opened(core, options, host, engine_host, **engine, identity);
    } else {
      co_await tell_failure(
          core, host,
          storage_failure(options.data_folder, "the journal of the data folder", engine_host, engine.error()));
      co_await reach(core, host, Milestone::kOpened);
    }
    if (all_opened) {
      co_await (*engine)->close();
    } else if (engine) {
      co_await (*engine)->abandon();
    }
    co_await reach(core, host, Milestone::kClosed);
    co_return all_opened;
  }

  // What one core does beside its open engine. False if another core has none.
  static Task<bool> run_opened(Core& core, const BrokerOptions& options, BrokerHost& host,
                               storage::EngineHost& engine_host, storage::Engine& engine,
                               const NodeIdentity& identity) {
    BrokerCore broker(core, host, options, engine);
    net::ConnectionSet connections(core, broker, options.connection);
    host.cores_[core.id()] = {.broker = &broker, .connections = &connections};
    reactor::TaskScope background(core);
    reactor::Event over(core);
    if (!co_await reach(core, host, Milestone::kOpened)) {
      host.cores_[core.id()] = {};
      co_return false;
    }
    background.spawn(broker.run_maintenance());
    background.spawn(end_maintenance_at_stop(core, broker));
    background.spawn(report_cut_off(core, "connections", connections.stats(), over));
    if (core.id() == 0) {
      co_await serve(core, options, host, broker, engine_host, identity);
    } else {
      co_await core.until_stopping();
    }
    core.request_stop();
    over.set();
    // Core 0 reaches it when no connection is left on any core.
    co_await reach(core, host, Milestone::kDrained);
    core.log(reactor::LogLevel::kInfo, "connections", connections.stats().describe());
    co_await background.join();
    co_await broker.stop();
    CHECK(broker.fetch_memory().available() == broker.fetch_memory().total(), "memory of answers is still taken");
    co_await reach(core, host, Milestone::kQuiet);
    if (core.id() == 0) enter(host, Stage::kWritingBack);
    host.cores_[core.id()] = {};
    co_return true;
  }

  // From the signal on, the disk is for the requests under way: on core 0 serve() continues until they are answered.
  static Task<void> end_maintenance_at_stop(Core& core, BrokerCore& broker) {
    co_await core.until_stopping();
    broker.end_maintenance();
  }

  static Task<void> close_storage(Core& core, storage::EngineHost& engine_host, bool all_opened) {
    if (!all_opened) co_return co_await engine_host.abandon(core);
    const Result<void> closed = co_await engine_host.close(core);
    if (!closed)
      core.log(reactor::LogLevel::kError, "close_failed", fmt::format("error={}", to_string(closed.error())));
  }

  // Before the metadata log holds what an older program would misread: with what is kept back for changes, if there is
  // no other space.
  static Task<std::string> note_format(Core& core, const BrokerOptions& options, BrokerHost& host,
                                       storage::Engine& engine, const NodeIdentity& identity) {
    if (!progress(host, core).is_format_due) co_return std::string();
    const uint64_t given = co_await engine.take_from_reserve(2 * storage::kBlock, true);
    const Result<void> noted = co_await note_tables(core, options.data_folder, identity);
    engine.took_from_reserve(given);
    if (noted) co_return std::string();
    co_return fmt::format("cannot write to the data folder {} ({}): free some space on its file system",
                          options.data_folder, to_string(noted.error()));
  }

  static void enter(BrokerHost& host, Stage stage) { host.stage_.store(stage, std::memory_order_relaxed); }

  // Core 0: metadata and listeners, then waits for the stop and takes no more connections.
  static Task<void> serve(Core& core, const BrokerOptions& options, BrokerHost& host, BrokerCore& broker,
                          storage::EngineHost& engine_host, const NodeIdentity& identity) {
    net::Acceptor acceptor(core, {}, [&host](Core& on) -> net::ConnectionSet& { return host.connections(on.id()); });
    ReadyReport report{.cluster_id = identity.cluster_id, .node_id = identity.node_id};
    std::string why;
    StartReport& start = progress(host, core).report;
    start.begin("opening the listeners");
    std::expected<Listening, std::string> listening = co_await open_listeners(core, acceptor, options.listeners);
    if (!listening) {
      why = listening.error();
      listening.emplace();
    }
    report.listeners = std::move(listening->lines);
    Registration self = registration(identity, listening->endpoints);
    Applier applier(broker, engine_host, identity, std::move(listening->endpoints));
    replication::quorum::NoPeers no_peers;
    Controller controller(broker.engine(), applier, no_peers, std::move(self), controller_options(options));
    if (why.empty()) why = co_await note_format(core, options, host, broker.engine(), identity);
    if (why.empty()) {
      host.controller_ = &controller;
      start.begin("loading the metadata");
      Result<void> loaded = co_await controller.load(why);
      if (!loaded && why.empty()) why = fmt::format("the metadata cannot be loaded ({})", to_string(loaded.error()));
    }
    reactor::TaskScope background(core);
    reactor::Event over(core);
    if (why.empty()) {
      acceptor.set_limits(controller.accept_limits());
      controller.on_broker_configs = [&] { acceptor.set_limits(controller.accept_limits()); };
      acceptor.begin();
      background.spawn(report_cut_off(core, "acceptor", acceptor.stats(), over));
      announce(host, core, controller, std::move(report));
      enter(host, Stage::kServing);
      co_await core.until_stopping();
    } else {
      fail(host, core, std::move(why));
      co_await stop_others(core);
    }
    enter(host, Stage::kFinishingRequests);
    co_await acceptor.stop();
    enter(host, Stage::kFinishingChanges);
    over.set();
    co_await background.join();
    core.log(reactor::LogLevel::kInfo, "acceptor", acceptor.stats().describe());
    // Requests under way needed the controller until now.
    co_await broker.scope().join();
    co_await controller.stop();
    co_await applier.stop();
    host.controller_ = nullptr;
  }

  static Task<void> stop_others(Core& core) {
    for (CoreId to = 1; to < core.core_count(); ++to) {
      auto work = [](Core& there) { there.request_stop(); };
      co_await reactor::on_core(core, to, std::move(work));
    }
  }

  static void announce(BrokerHost& host, Core& core, const Controller& controller, ReadyReport report) {
    BrokerHost::Progress& state = progress(host, core);
    state.report.end();
    report.created = state.created;
    report.partitions = controller.image().partition_count();
    report.bytes_replayed = state.recovery.bytes_replayed;
    report.notes = state.recovery.notes;
    core.log(reactor::LogLevel::kDebug, "serving", fmt::format("partitions={}", report.partitions));
    if (host.on_ready) host.on_ready(report);
  }
};

reactor::Program make_broker_program(BrokerOptions options, std::shared_ptr<BrokerHost> host) {
  auto shared = std::make_shared<const BrokerOptions>(std::move(options));
  return [shared = std::move(shared), host = std::move(host)](Core& core) {
    return BrokerProgram::run(core, shared, host);
  };
}

}  // namespace posthaste::broker
