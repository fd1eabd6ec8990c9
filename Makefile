# Two commands: `make demo` runs the main job, `make test` runs the tests. `make check` is the fast loop
# while you work: format, clippy, unit tests; a single integration test is
# `cargo test --test it NAME`. `make test-long` adds what takes long, and the matrix of defects, which
# measures and so needs a machine with nothing else to do.
.PHONY: demo check test test-long lint measure bench clean

demo: postgres
	cargo build --release --locked
	./target/release/chaosproxy run scenarios/db-partition.toml

check: rust
	cargo fmt --check
	cargo clippy --locked --lib --bins -- -D warnings
	cargo test --locked --lib --quiet

test: postgres chromium pools lint
	cargo test --locked

# The proofs of the data plane, the main job tenfold faster twenty times without a flaky verdict, the matrix
# of defects and the table of real pools three times over, on a machine with nothing else to do.
test-long: postgres
	@scripts/install-pools all
	cargo test --locked --test it proxy:: -- --ignored --test-threads 1 --nocapture
	./target/debug/chaosproxy run tests/scenarios/db-partition-tenfold.toml --repeat 20
	for round in 1 2 3; do \
		cargo test --locked --test it matrix:: -- --ignored --test-threads 1 || exit 1; \
	done
	cargo test --locked --test it pools:: -- --ignored --test-threads 1

# Ten runs of the main job; rewrites docs/measurements.md. About a quarter of an hour.
measure: postgres
	cargo build --release --locked
	scripts/measure-main-job 10

# chaosproxy beside haproxy, nginx and others; rewrites docs/performance.md. About 12 minutes; a part of
# it: make bench BENCH="echo bulk" ROUNDS=12 (memory, pgbench, echo, http, bulk, messages,
# faults).
bench: postgres
	@scripts/install-peers
	cargo bench --locked --bench peers

lint: rust
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

.PHONY: postgres chromium pools rust
postgres: rust
	@scripts/install-postgres

chromium:
	@scripts/install-chromium

pools:
	@scripts/install-pools

rust:
	@command -v cargo >/dev/null || { echo "error: cargo is missing; install Rust 1.95 or later (your system's package manager, or rustup)" >&2; exit 1; }

clean:
	cargo clean
