# what: small disks (ext4 on a loop device, tmpfs) filled by produce, a stranger's file and topics, with SIGKILLs
# modes: full
# limit: 600
. "$(dirname "$0")/../tools/suite.sh"
must_build release posthaste
counted python3 tests/full_disk/run.py
finish
