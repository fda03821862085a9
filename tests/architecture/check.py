#!/usr/bin/env python3
"""Checks the laws of the house that a compiler does not: what may include what, which symbols a room may use, that no
room but reactor and app has mutable globals, that each header compiles alone, that reactor/ has no word of the protocol,
that no file is too long, that the examples of docs/style.md are true, that docs/ names tests that there are, and that each
setting that is said to be used is read (settings.py). It reads sources and built libraries; it changes nothing but its own
cache in build/. Last line: `N passed, M failed`.

usage: check.py [--build build/release]      checks the tree (the libraries must be built)
       check.py --self-test                  shows, on small planted violations, that each check can fail
"""
import argparse
import concurrent.futures
import fnmatch
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import settings

ROOT = pathlib.Path(__file__).resolve().parents[2]

# A room may include itself and what is listed here (the transitive closure is spelled out on purpose).
MAY_INCLUDE = {
    "reactor": set(),
    "storage": {"reactor"},
    "net": {"reactor"},
    "config": {"reactor", "storage", "net"},
    "replication": {"reactor", "storage", "net", "config"},
    "broker": {"reactor", "storage", "net", "config", "replication"},
    "app": {"reactor", "storage", "net", "config", "replication", "broker"},
}
MAY_INCLUDE["bench"] = MAY_INCLUDE["tests"] = set(MAY_INCLUDE) | {"bench", "tests"}

# Rooms that never touch the world: reactor does (it is the backend), app does (command line, signals, admin HTTP).
SEALED_ROOMS = ("storage", "net", "config", "replication", "broker")

# Undefined symbols that mean a syscall, a clock, randomness, the environment, a thread or a lock. Full matches.
BANNED = {
    "clock": r"clock_gettime|clock_nanosleep|clock|gettimeofday|time|localtime(_r)?|gmtime(_r)?|nanosleep|usleep|sleep|"
             r"timer_\w+|timerfd_\w+|_ZNSt6chrono3_V2\d+\w+clock3nowEv",
    "randomness": r"getrandom|getentropy|rand|rand_r|srand|random|srandom|[dlm]rand48\w*|arc4random\w*|_ZNSt13random_device.*|RAND_\w+",
    "files": r"open(at)?(64)?|creat(64)?|close|read|readv|write|writev|pread(64)?|preadv2?(64)?(v2)?|pwrite(64)?|pwritev2?(64)?(v2)?|"
             r"l?f?stat(64)?|statx|fsync|fdatasync|sync|sync_file_range|ftruncate(64)?|truncate(64)?|fallocate(64)?|posix_fallocate(64)?|"
             r"unlink(at)?|rename(at2?)?|mkdir(at)?|rmdir|opendir|readdir(64)?|lseek(64)?|flock|fcntl(64)?|ioctl|dup[23]?|pipe2?|"
             r"fopen(64)?|fdopen|freopen(64)?|fread|fwrite|fclose|fflush|fputs|fputc|puts|putchar|printf|fprintf|vprintf|vfprintf|"
             r"__printf_chk|__fprintf_chk|perror|remove|tmpfile(64)?|mkstemp(64)?|_ZNSt\d+basic_[io]?f(stream|ilebuf).*|"
             r"_ZNSt10filesystem.*|_ZSt4cout|_ZSt4cerr|_ZSt4clog|_ZSt3cin|stdout|stderr|stdin",
    "memory mapping": r"mmap(64)?|munmap|mremap|madvise|mlock\w*|mprotect|shm_open|memfd_create",
    "sockets": r"socket(pair)?|bind|listen|accept4?|connect|send(to|msg|mmsg|file(64)?)?|recv(from|msg|mmsg)?|shutdown|[gs]etsockopt|"
               r"getsockname|getpeername|getaddrinfo|gethostby\w+|poll|ppoll|select|pselect|epoll_\w+|eventfd\w*|inotify_\w+",
    "io_uring": r"io_uring_\w+|__io_uring_\w+",
    "threads and locks": r"pthread_\w+|thrd_\w+|mtx_\w+|cnd_\w+|sem_\w+|sched_\w+|_ZNSt6thread.*|_ZNSt18condition_variable.*|"
                         r"_ZNSt5mutex.*|_ZNSt13__future_base.*|futex",
    "environment": r"(secure_)?getenv|setenv|putenv|unsetenv|environ|__environ|gethostname|uname|getpid|getppid|gettid|getuid|geteuid|"
                   r"sysconf|getrlimit(64)?|setrlimit(64)?|getpwnam\w*|isatty|setlocale",
    "processes": r"syscall|fork|vfork|exec[vlpe]+|posix_spawnp?|system|popen|waitpid|kill|raise|signal|sigaction|exit|_exit|_Exit|quick_exit|atexit",
    "loading": r"dlopen|dlsym|dlclose",
}
BANNED = {kind: re.compile(pattern) for kind, pattern in BANNED.items()}

# (room, symbol pattern, reason): a violation that is allowed, on purpose. Keep it short; each row needs a reason.
ALLOWED_SYMBOLS = []
ALLOWED_GLOBALS = [
    (room, r"_ZNSt.*coroutine_handleI.*noop_coroutine_promise.*_S_frE", "libstdc++'s frame of std::noop_coroutine(), never written")
    for room in ("storage", "net", "replication", "broker")
]


def run(command, **options):
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


def sources(root, suffixes=(".h", ".cc")):
    for room in sorted(MAY_INCLUDE):
        folder = root / room
        if folder.is_dir():
            yield from (path for path in sorted(folder.rglob("*")) if path.suffix in suffixes and "build" not in path.parts)


def check_includes(root):
    """One result per file: (name, list of complaints)."""
    include = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
    for path in sources(root):
        relative = path.relative_to(root)
        room, wrong = relative.parts[0], []
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match = include.match(line)
            if not match:
                continue
            kind, target = match.groups()
            first = target.split("/")[0]
            at = f"{relative}:{number}"
            if ".." in target.split("/"):
                wrong.append(f'{at}: "{target}" climbs with ..; name the room')
            elif first in MAY_INCLUDE and first != room and first not in MAY_INCLUDE[room]:
                wrong.append(f'{at}: {room} must not include {first} ("{target}")')
            elif kind == '"' and (first not in MAY_INCLUDE or not (root / target).is_file()):
                wrong.append(f'{at}: "{target}" is not a path from the top of the tree')
        yield f"includes of {relative}", wrong


# What reactor/ serves is any program: words of what ours serves have no place in it.
PROTOCOL_WORDS = re.compile(r"kafka|\btopic|\bbroker|\breplica|\bpartition", re.IGNORECASE)

# Networks have them too. In the simulator alone: `partition(` cuts links, `partitions,` are what it does.
NETWORK_PARTITION = re.compile(r"\bpartition(\(|s,|\.$)")


def check_words(root):
    """One result per file of reactor/, tests aside: lines with a word of the protocol."""
    for path in sources(root):
        relative = path.relative_to(root)
        if relative.parts[0] != "reactor" or "testing" in relative.parts or path.stem.endswith("_test"):
            continue
        lines = path.read_text(encoding="utf-8").splitlines()
        wrong = [f"{relative}:{number}: {found.group()!r} is a word of the protocol; reactor/ serves any program"
                 for number, line in enumerate(lines, 1) if (found := PROTOCOL_WORDS.search(NETWORK_PARTITION.sub("", line)))]
        yield f"words of {relative}", wrong


def check_examples(root):
    """One result per example of docs/style.md: it stands in the file that it names."""
    page = root / "docs" / "style.md"
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    for path, example in re.findall(r"^```cpp (\S+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        there = (root / path).is_file() and example in (root / path).read_text(encoding="utf-8")
        yield f"example of {path}", [] if there else [f"docs/style.md: this is not in {path}: {example.splitlines()[0]}"]


def tests_of(root, program):
    """Suite.Name of each test of NAME_test, as its sources state them: those of a room, or of tests/NAME."""
    folder = next((path for path in (root / program, root / "tests" / program) if path.is_dir()), None)
    sources_of = folder.rglob("*_test.cc") if folder else []
    return [".".join(names) for path in sources_of
            for names in re.findall(r"^TEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\)", path.read_text(encoding="utf-8"), re.MULTILINE)]


def check_named_tests(root):
    """One result per filter of tests in docs/: the program has such tests. Parameters are left out of the comparison."""
    for page in sorted((root / "docs").glob("*.md")):
        for program, patterns in re.findall(r"(\w+)_test --gtest_filter='([^']+)'", page.read_text(encoding="utf-8")):
            known = tests_of(root, program)
            gone = [one for one in patterns.split(":")
                    if not any(fnmatch.fnmatchcase(test, one) or fnmatch.fnmatchcase("x/" + test + "/0", one) for test in known)]
            yield f"tests that {page.name} names of {program}_test", [
                f"docs/{page.name}: {program}_test has no test {one}" for one in gone]


# Above it a file hides a second idea.
LINES_MAX = 500


def check_length(root):
    for path in sources(root):
        lines = path.read_text(encoding="utf-8").count("\n")
        yield f"length of {path.relative_to(root)}", [] if lines <= LINES_MAX else [
            f"{path.relative_to(root)} has {lines} lines; above {LINES_MAX} ask what it hides"]


def archive_objects(library):
    """Names of the objects in a static library, without those of tests (which are not in it, but a name costs nothing)."""
    return [name for name in run(["llvm-ar-19", "t", str(library)]).stdout.split() if "_test.cc" not in name]


def check_symbols(library, room):
    """Undefined strong symbols of each object against the banned list."""
    listing = run(["llvm-nm-19", "--undefined-only", "-A", "-f", "posix", str(library)]).stdout
    per_object = {name: [] for name in archive_objects(library)}
    for line in listing.splitlines():
        match = re.match(r".*\[([^\]]+)\]: (\S+) U", line) or re.match(r".*:([^:\s]+): (\S+) U", line)
        if not match or match.group(1) not in per_object:
            continue
        name, symbol = match.groups()
        symbol = symbol.split("@")[0]
        for kind, pattern in BANNED.items():
            if pattern.fullmatch(symbol) and not allowed(ALLOWED_SYMBOLS, room, symbol):
                per_object[name].append(f"{room}/{name} uses {symbol} ({kind}); only reactor/ touches the world")
    for name, wrong in sorted(per_object.items()):
        yield f"symbols of {room}/{name}", wrong


def check_globals(library, room):
    """Objects in writable sections. Constants with relocations (.data.rel.ro: vtables, tables of pointers) are read-only at run time."""
    listing = run(["llvm-nm-19", "--defined-only", "-A", "-f", "sysv", str(library)]).stdout
    per_object = {name: [] for name in archive_objects(library)}
    current = None
    for line in listing.splitlines():
        columns = [column.strip() for column in line.split("|")]
        if len(columns) < 7:
            continue
        where = re.match(r"(?:.*[\[:])?([^\[\]:|]+\.o)\]?:\s*(.*)$", columns[0])
        name, symbol = (where.group(1), where.group(2)) if where else (current, columns[0])
        section = columns[6]
        if name not in per_object or not re.match(r"\.(data|bss|tdata|tbss)\b", section) or section.startswith(".data.rel.ro"):
            continue
        # DW.ref.*: the compiler's own pointer to the unwinder's entry, in every object that has a cleanup.
        if columns[3] not in ("OBJECT", "TLS") or symbol.startswith("DW.ref.") or allowed(ALLOWED_GLOBALS, room, symbol):
            continue
        per_object[name].append(f"{room}/{name} has the mutable global {symbol} in {section}")
    for name, wrong in sorted(per_object.items()):
        yield f"globals of {room}/{name}", wrong


def allowed(table, room, symbol):
    return any(row[0] == room and re.fullmatch(row[1], symbol) for row in table)


COMPILE = ["clang++-19", "-fsyntax-only", "-x", "c++", "-std=c++23", "-Wall", "-Wextra", "-Wno-pragma-once-outside-header", "-Wno-missing-designated-field-initializers",
           "-Wno-c99-designator", "-Werror"]


def check_header(root, header, cache):
    """Compiles one header alone, unless nothing that it includes from the tree changed since it last passed."""
    relative = str(header.relative_to(root))
    known = cache.get(relative)
    if known and known["command"] == COMPILE and digest(root, known["files"]) == known["digest"]:
        return relative, [], known
    with tempfile.NamedTemporaryFile(suffix=".d") as dependencies:
        done = run(COMPILE + ["-MMD", "-MF", dependencies.name, "-I", str(root), str(header)], cwd=root)
        if done.returncode != 0:
            return relative, [f"{relative} does not compile alone:\n" + "\n".join(done.stdout.splitlines()[:12])], None
        names = pathlib.Path(dependencies.name).read_text().split(":", 1)[-1].replace("\\\n", " ").split()
    files = sorted({str(pathlib.Path(name).resolve().relative_to(root)) for name in names
                    if pathlib.Path(name).resolve().is_relative_to(root)} | {relative})
    return relative, [], {"command": COMPILE, "files": files, "digest": digest(root, files)}


def digest(root, files):
    total = hashlib.sha256()
    for name in files:
        path = root / name
        total.update(name.encode() + b"\0" + (path.read_bytes() if path.is_file() else b"gone"))
    return total.hexdigest()


def check_headers(root, cache_file):
    cache = {}
    if cache_file and cache_file.is_file():
        try:
            cache = json.loads(cache_file.read_text())
        except ValueError:
            pass  # a torn cache only costs time
    headers = list(sources(root, (".h",)))
    fresh = {}
    with concurrent.futures.ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
        for relative, wrong, entry in pool.map(lambda header: check_header(root, header, cache), headers):
            if entry:
                fresh[relative] = entry
            yield f"{relative} alone", wrong
    if cache_file:
        cache_file.parent.mkdir(parents=True, exist_ok=True)
        cache_file.write_text(json.dumps(fresh))


def check_comments(root):
    """Every file opens with a comment (a .cc may leave it to the header of the same name); no mark of unfinished work, no
    skipped test."""
    unfinished = re.compile(r"\b(TODO|FIXME|XXX|GTEST_SKIP)\b|\bDISABLED_")
    for path in sources(root):
        relative = path.relative_to(root)
        text = path.read_text(encoding="utf-8")
        told = text.startswith(("//", "/*")) or (path.suffix == ".cc" and path.with_suffix(".h").is_file())
        wrong = [] if told else [f"{relative} does not open with a comment that says why it exists"]
        wrong += [f"{relative}:{number}: {line.strip()}" for number, line in enumerate(text.splitlines(), 1) if unfinished.search(line)]
        yield f"comments of {relative}", wrong


def all_checks(root, build):
    yield from check_includes(root)
    yield from check_comments(root)
    yield from check_words(root)
    yield from check_examples(root)
    yield from check_named_tests(root)
    yield from check_length(root)
    yield from settings.check_settings(root)
    for room in SEALED_ROOMS:
        if not (root / room / "CMakeLists.txt").is_file():
            continue  # a room without a library yet
        libraries = list(build.rglob(f"libposthaste_{room}.a"))
        if len(libraries) != 1:
            yield f"library of {room}", [f"libposthaste_{room}.a is not built in {build}"]
            continue
        yield from check_symbols(libraries[0], room)
        yield from check_globals(libraries[0], room)
    yield from check_headers(root, build / "architecture-headers.json")


# ---- self-test: one planted violation per check must be found, and the clean twin must pass ----

CLEAN = "// Why.\n#include <string_view>\nnamespace { constexpr int kTable[] = {1, 2, 3}; }\nint f(int i);\nint f(int i) { return kTable[i]; }\n"
VTABLE = "// Why.\nstruct B { virtual ~B(); virtual int g(); };\nB::~B() = default;\nint B::g() { return 1; }\n" \
         "extern const char* const kNames[];\nconst char* const kNames[] = {\"a\", \"b\"};\n"
PLANTED = [
    ("clock", "// Why.\n#include <chrono>\nlong f();\nlong f() { return std::chrono::steady_clock::now().time_since_epoch().count(); }\n"),
    ("clock", "// Why.\n#include <time.h>\nlong f();\nlong f() { return time(nullptr); }\n"),
    ("randomness", "// Why.\n#include <random>\nunsigned f();\nunsigned f() { return std::random_device{}(); }\n"),
    ("randomness", "// Why.\n#include <cstdlib>\nint f();\nint f() { return rand(); }\n"),
    ("files", "// Why.\n#include <fcntl.h>\nint f();\nint f() { return open(\"x\", O_RDONLY); }\n"),
    ("files", "// Why.\n#include <unistd.h>\nlong f();\nlong f() { return pwrite(1, \"x\", 1, 0); }\n"),
    ("files", "// Why.\n#include <iostream>\nvoid f();\nvoid f() { std::cout << 1; }\n"),
    ("memory mapping", "// Why.\n#include <sys/mman.h>\nint f();\nint f() { return munmap(nullptr, 1); }\n"),
    ("sockets", "// Why.\n#include <sys/socket.h>\nint f();\nint f() { return socket(AF_INET, SOCK_STREAM, 0); }\n"),
    ("io_uring", "// Why.\nextern \"C\" int io_uring_submit(void*);\nint f();\nint f() { return io_uring_submit(nullptr); }\n"),
    ("threads and locks", "// Why.\n#include <mutex>\nvoid f(std::mutex& m);\nvoid f(std::mutex& m) { m.lock(); }\n"),
    ("threads and locks", "// Why.\n#include <thread>\nvoid f();\nvoid f() { std::thread([] {}).detach(); }\n"),
    ("environment", "// Why.\n#include <cstdlib>\nchar* f();\nchar* f() { return getenv(\"X\"); }\n"),
    ("processes", "// Why.\n#include <cstdlib>\nvoid f();\nvoid f() { exit(1); }\n"),
    ("loading", "// Why.\n#include <dlfcn.h>\nvoid* f();\nvoid* f() { return dlopen(\"x\", 0); }\n"),
    ("global", "// Why.\nint counter = 1;\n"),
    ("global", "// Why.\nint zero;\n"),
    ("global", "// Why.\nint f();\nint f() { static int calls; return ++calls; }\n"),
    ("global", "// Why.\nint f();\nint f() { thread_local int calls = 3; return ++calls; }\n"),
    ("global", "// Why.\ntemplate <class T> struct S { static inline int n = 7; };\nint f();\nint f() { return ++S<int>::n; }\n"),
]


def planted_library(folder, text):
    source, thing, library = folder / "planted.cc", folder / "planted.cc.o", folder / "libplanted.a"
    source.write_text(text)
    library.unlink(missing_ok=True)
    done = run(["clang++-19", "-std=c++23", "-O1", "-c", "-o", str(thing), str(source)])
    assert done.returncode == 0, done.stdout
    assert run(["llvm-ar-19", "rcs", str(library), str(thing)]).returncode == 0
    return library


def self_test():
    def found(results):
        return [complaint for _, wrong in results for complaint in wrong]

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for kind, text in PLANTED:
            library = planted_library(folder, text)
            symbols, mutable = found(check_symbols(library, "net")), found(check_globals(library, "net"))
            hit = bool(mutable) if kind == "global" else any(f"({kind})" in complaint for complaint in symbols)
            yield f"planted {kind} is found", [] if hit else [f"not found: {text!r}; symbols {symbols}, globals {mutable}"]
        for label, text in (("clean code", CLEAN), ("a vtable and a table of strings", VTABLE)):
            library = planted_library(folder, text)
            complaints = found(check_symbols(library, "net")) + found(check_globals(library, "net"))
            yield f"{label} passes", complaints

        tree = folder / "tree"
        for room in ("app", "net", "storage", "reactor", "broker"):
            (tree / room).mkdir(parents=True)
            (tree / room / "thing.h").write_text("// Why.\n#pragma once\n")
        cases = [
            ("storage/up.cc", '#include "broker/thing.h"', True),
            ("storage/sideways.cc", '#include "net/thing.h"', True),
            ("net/sideways.cc", '#include "storage/thing.h"', True),
            ("reactor/angle.cc", "#include <net/thing.h>", True),
            ("net/climb.cc", '#include "../reactor/thing.h"', True),
            ("net/relative.cc", '#include "thing.h"', True),
            ("broker/down.cc", '#include "storage/thing.h"\n#include "net/thing.h"', False),
            ("app/down.cc", '#include "broker/thing.h"\n#include <vector>', False),
        ]
        for path, text, bad in cases:
            (tree / path).write_text("// Why.\n" + text + "\n")
            complaints = [one for one in found(check_includes(tree)) if one.startswith(path)]
            yield f"include rule on {path}", [] if bool(complaints) == bad else [f"expected {'a' if bad else 'no'} complaint, got {complaints}"]

        (tree / "net" / "alone.h").write_text("// Why.\n#pragma once\ninline std::string f() { return {}; }\n")
        cache = folder / "cache.json"
        first, second = found(check_headers(tree, cache)), found(check_headers(tree, cache))
        ok = len(first) == len(second) == 1 and "net/alone.h" in first[0]
        yield "a header that does not stand alone is found, cached or not", [] if ok else [f"got {first} then {second}"]
        (tree / "net" / "alone.h").write_text("// Why.\n#pragma once\n#include \"reactor/thing.h\"\ninline int f() { return kLater; }\n")
        (tree / "reactor" / "thing.h").write_text("// Why.\n#pragma once\ninline constexpr int kLater = 1;\n")
        mended = found(check_headers(tree, cache))
        (tree / "reactor" / "thing.h").write_text("// Why.\n#pragma once\n")
        broken = found(check_headers(tree, cache))
        ok = not mended and len(broken) == 1
        yield "a change below a cached header is seen", [] if ok else [f"got {mended} then {broken}"]

        (tree / "net" / "bare.h").write_text("#pragma once\n")
        (tree / "net" / "later.h").write_text("// Why.\n// " + "TO" + "DO: later\n")
        complaints = found(check_comments(tree))
        ok = len(complaints) == 2
        yield "a file without opening comment and unfinished work are found", [] if ok else [f"got {complaints}"]
        (tree / "reactor" / "thing.cc").write_text("// Why.\nint replica_count;\n")
        complaints = found(check_words(tree))
        ok = len(complaints) == 1 and "reactor/thing.cc" in complaints[0]
        yield "a word of the protocol in reactor/ is found", [] if ok else [f"got {complaints}"]
        (tree / "net" / "long.cc").write_text("// Why.\n" * (LINES_MAX + 1))
        complaints = found(check_length(tree))
        ok = len(complaints) == 1 and "net/long.cc" in complaints[0]
        yield "a file that is too long is found", [] if ok else [f"got {complaints}"]
        (tree / "docs").mkdir()
        (tree / "docs" / "style.md").write_text("```cpp net/long.cc\n// Why.\n```\n\n```cpp net/long.cc\nint gone;\n```\n")
        complaints = found(check_examples(tree))
        yield "an example that is gone is found", [] if len(complaints) == 1 else [f"got {complaints}"]
        (tree / "net" / "thing_test.cc").write_text("// Why.\nTEST_F(Thing, Works) {}\n")
        (tree / "docs" / "style.md").write_text("`net_test --gtest_filter='Thing.*:*Works*'`, `net_test --gtest_filter='Thing.Gone'`\n")
        complaints = found(check_named_tests(tree))
        ok = len(complaints) == 1 and "Thing.Gone" in complaints[0]
        yield "a test that a page names and that is gone is found", [] if ok else [f"got {complaints}"]
        yield from settings.self_test(folder / "settings")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    passed = failed = 0
    for name, wrong in self_test() if options.self_test else all_checks(ROOT, (ROOT / options.build).resolve()):
        passed, failed = passed + (not wrong), failed + bool(wrong)
        if wrong:
            print(f"FAILED {name}")
            for complaint in wrong:
                print("   ", complaint)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
