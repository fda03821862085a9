"""Settings that promise what nothing keeps. A configuration key whose row says that it is used must be read by code that
acts on it: by its name (`get<"key">()`, `used<"key">()`), by the function in its row that hands it to the log, or as the
fallback of a key that is read. (The other way round is the compiler's: naming a key whose row says that it changes
nothing does not compile.) And what is read into a field of a struct of settings must be read from there, in a room that
acts on it. check.py runs this with its other checks."""
import re

TABLES = ("config/topic_keys.h", "config/broker_key_table.h")
READ_EFFECTS = ("kUsed", "kOnlyRefusesZstd")  # is_read() of config/config_key.h
ROW = re.compile(r'^  \{"([\w.]+)", k\w+, (?:"[^"]*"|kNoDefault), (k\w+)', re.MULTILINE)
NAMED = re.compile(r'\b(?:get|used)<"([\w.]+)">')
FALLBACK = re.compile(r'\.fallback = "([\w.]+)"')

# (header, struct, folders whose code acts on its fields, files there that only fill or check it)
STRUCTS = (
    ("app/config/broker_config.h", "TopicDefaults", ("app",), ("app/config/broker_config.cc",)),
    ("app/config/broker_config.h", "GroupSettings", ("app",), ("app/config/broker_config.cc",)),
    ("app/config/broker_config.h", "BrokerConfig", ("app",), ("app/config/broker_config.cc",)),
    ("app/config/quorum_config.h", "ClusterSettings", ("app",), ()),
    ("broker/options.h", "BrokerListener", ("broker",), ()),
    ("broker/options.h", "QuorumOptions", ("broker",), ()),
    ("broker/options.h", "BrokerOptions", ("broker",), ()),
    ("broker/groups/types.h", "GroupConfig", ("broker",), ()),
    ("replication/metadata/topic_controller.h", "TopicRules", ("replication",), ()),
    ("net/connection.h", "ConnectionLimits", ("net",), ()),
    ("net/listener.h", "AcceptLimits", ("net",), ()),
    ("storage/engine.h", "EngineOptions", ("storage",), ()),
    ("storage/log/log_types.h", "LogConfig", ("storage",), ()),
    ("storage/log/producer_state.h", "ProducerLimits", ("storage",), ()),
    ("storage/batch/record_batch.h", "BatchRules", ("storage",), ()),
    ("storage/log/retention.h", "RetentionRules", ("storage",), ()),
)


def product_sources(root, rooms):
    for room in rooms:
        for path in sorted((root / room).rglob("*")):
            if path.suffix in (".h", ".cc") and not path.name.endswith("_test.cc") and "testing" not in path.parts:
                yield path


def without_comments(text):
    return re.sub(r"[ \t]*//[^\n]*", "", text)


def rows_of(text):
    """(name, effect, text of the row) of each row of a table."""
    found = list(ROW.finditer(text))
    ends = [match.start() for match in found[1:]] + [text.find("\n});", found[-1].start()) if found else 0]
    return [(match.group(1), match.group(2), text[match.start():end]) for match, end in zip(found, ends)]


def fields_of(text, struct):
    """Names of the fields of a struct, one a line."""
    text = without_comments(text)
    start = re.search(rf"^struct {struct}\b[^;{{]*\{{$", text, re.MULTILINE)
    if not start:
        return []
    body = text[start.end():text.index("\n};", start.end())]
    return re.findall(r"^  (?! )[\w:<>, ]+[ >](\w+)(?: = [^;]*|\{[^;]*\})?;$", body, re.MULTILINE)


def check_keys(root):
    named = set()
    for path in product_sources(root, ("app", "broker", "config")):
        if str(path.relative_to(root)) not in TABLES:
            named |= set(NAMED.findall(without_comments(path.read_text(encoding="utf-8"))))
    rows = []
    for table in TABLES:
        text = (root / table).read_text(encoding="utf-8") if (root / table).is_file() else ""
        rows += rows_of(text)
        begun, known = len(re.findall(r'^  \{"', text, re.MULTILINE)), len(rows_of(text))
        yield f"rows of {table}", [f"{table}: {begun} rows begin, {known} are understood"] if begun != known or not known else []
    read = {name for name, effect, text in rows if effect in READ_EFFECTS and (name in named or "[](" in text)}
    fallbacks = {name: FALLBACK.findall(text) for name, _, text in rows}
    waiting = list(read)
    while waiting:
        for name in fallbacks.get(waiting.pop(), ()):
            if name not in read:
                read.add(name)
                waiting.append(name)
    for name, effect, _ in rows:
        wrong = effect in READ_EFFECTS and name not in read
        yield f"key {name}", [f"{name} is marked {effect}, and nothing reads it"] if wrong else []


def check_fields(root, structs):
    texts = {}
    for header, struct, rooms, fill in structs:
        fields = fields_of((root / header).read_text(encoding="utf-8"), struct) if (root / header).is_file() else []
        if not fields:
            yield f"settings {struct}", [f"{header} has no struct {struct} with fields"]
        for field in fields:
            read = re.compile(rf"(?:\.|->){field}\b(?!\s*=[^=])")
            wrong = True
            for path in product_sources(root, rooms):
                if str(path.relative_to(root)) in fill:
                    continue
                if path not in texts:
                    texts[path] = without_comments(path.read_text(encoding="utf-8"))
                if read.search(texts[path]):
                    wrong = False
                    break
            yield f"setting {struct}.{field}", [f"{header}: nothing in {', '.join(rooms)} reads {struct}::{field}"] if wrong else []


def check_settings(root, structs=STRUCTS):
    yield from check_keys(root)
    yield from check_fields(root, structs)


PLANTED_TABLE = """// Why.
  {"a.read", kInt, "1", kUsed, {}},
  {"a.handed.on", kInt, "1", kUsed, {}, "words", [](LogConfig& log) {}},
  {"a.with.fallback", kInt, kNoDefault, kUsed, {}, {.fallback = "a.fallback"}},
  {"a.fallback", kInt, "1", kUsed},
  {"a.without.effect", kInt, "1", kLoneBroker},
  {"a.comment", kInt, "1", kUsed},
  {"a.test", kInt, "1", kUsed},
  {"a.fallback.of.none", kInt, "1", kUsed},
  {"a.dead.with.fallback", kInt, "1", kUsed, {}, {.fallback = "a.fallback.of.none"}},
});
static_assert(all_of(kRows, [](const Key& key) { return get<"a.comment">(); }));
"""
PLANTED_CODE = """// get<"a.comment">() is not here.
int f() { return values.get<"a.read">() + values.get<"a.with.fallback">() + rules.read; }
void g() { rules.written = 1; rules.read == 2; log = {.written = 3}; }
"""


def self_test(folder):
    """Plants keys and fields that nothing reads beside such that are read."""
    for path, text in ((TABLES[0], PLANTED_TABLE.replace('"a.', '"b.').replace("kUsed", "kLoneBroker") + '  {"c", KeyType::kInt, "1", kUsed},\n'),
                       (TABLES[1], PLANTED_TABLE), ("broker/user.cc", PLANTED_CODE),
                       ("broker/user_test.cc", 'int f() { return get<"a.test">() + rules.tested; }\n'),
                       ("broker/groups/types.h", "struct GroupConfig {\n  int32_t read = 1;\n  int64_t written = 2;  // why\n  size_t tested;\n};\n")):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    planted = (("broker/groups/types.h", "GroupConfig", ("broker",), ()), ("broker/gone.h", "Gone", ("broker",), ()))
    found = {name for name, wrong in check_settings(folder, planted) if wrong}
    wanted = {f"rows of {TABLES[0]}", "key a.comment", "key a.test", "key a.fallback.of.none", "key a.dead.with.fallback",
              "setting GroupConfig.written", "setting GroupConfig.tested", "settings Gone"}
    yield "keys and fields that nothing reads are found, and no others", [] if found == wanted else [f"found {sorted(found)}"]
