// The `posthaste` binary. Everything is in the libraries; this only starts the command line.
#include "app/cli/cli.h"
#include "app/serve.h"

int main(int argc, char** argv) { return posthaste::app::run_cli(argc, argv, posthaste::app::serve); }
