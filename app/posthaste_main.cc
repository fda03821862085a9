// The `posthaste` binary. Everything is in the libraries; this only starts the command line.
#include "app/cli/cli.h"

int main(int argc, char** argv) { return posthaste::app::run_cli(argc, argv, nullptr); }
