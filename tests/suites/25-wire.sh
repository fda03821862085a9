# what: random messages of every API and version against Kafka's own classes, both directions: same values, same bytes
# modes: full
# limit: 900
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste-wire-compare
compare=build/release/bin/posthaste-wire-compare
count=50
seed=${POSTHASTE_WIRE_SEED:-$(date +%s)}
echo "seed $seed (POSTHASTE_WIRE_SEED repeats it)"

# Kafka's library, fetched once.
folder=build/wire
mkdir -p "$folder"
for artifact in org.apache.kafka:kafka-clients:4.3.1 org.slf4j:slf4j-api:1.7.36; do
  name=${artifact#*:}
  [ -f "$folder/${name/:/-}.jar" ] ||
    mvn -q -B dependency:copy -Dartifact="$artifact" -DoutputDirectory="$PWD/$folder" ||
    { failed "mvn cannot fetch $artifact"; finish; }
done
kafka() { java -XX:TieredStopAtLevel=1 -cp "$folder/*:$folder" RandomMessages "$@"; }
javac -cp "$folder/*" -d "$folder" tests/wire/RandomMessages.java || { failed "RandomMessages.java does not compile"; finish; }

# shellcheck disable=SC2046
kafka make "$seed" "$count" $("$compare" apis) >"$folder/kafka.txt" || failed "Kafka's side made no messages"
"$compare" make "$seed" "$count" >"$folder/ours.txt" || failed "our side made no messages"
counted "$compare" check <"$folder/kafka.txt"
counted kafka check <"$folder/ours.txt"
# Each side must see a difference: one value, one byte.
spoil() { awk 'NR == 1 && sub(/ }$/, " 7 }"); NR == 2 { $4 = $4 "00"; print }' "$1"; }
for side in "$compare" kafka; do
  if spoil "$folder/kafka.txt" | "$side" check >"$folder/spoilt.txt"; then
    failed "$side sees no difference"
  elif grep -qx '0 passed, 2 failed' "$folder/spoilt.txt"; then
    passed
  else
    failed "$side: $(tail -n 1 "$folder/spoilt.txt")"
  fi
done
finish
