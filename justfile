# Short names for the commands of this repository; CI runs `.ci/run`, which is the same commands.

# List the recipes.
default:
    @just --list

# Sell and buy on a local chain.
demo:
    cargo run --release -- demo

# The same over Solana and Lightning too.
demo-all-rails:
    cargo run --release --features all-rails -- demo --all-rails

# Run all tests.
test:
    cargo test --workspace

# Run the tests that need every part of the binary.
test-rails:
    cargo test --workspace --features farebox/all-rails,farebox/embedded-node --test it -- rails::

# Check one room alone: `just check-crate farebox-wire`.
check-crate package:
    cargo clippy -p {{package}} --all-targets -- -D warnings
    cargo test -p {{package}}

# Format everything.
fmt:
    cargo fmt --all

# Lint everything.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# House style.
tidy:
    cargo xtask tidy

# Write the tables of docs/configuration.md from the types.
docs:
    cargo xtask docs

# Arrows go down only.
floors:
    cargo xtask floors

# Bans, licences, sources.
deny:
    bash .ci/run deny

# The same payments against software that we did not write.
interop:
    interop/run

# How fast it is beside what this machine could do at all.
bench *flags:
    cargo run --release -p farebox-bench -- {{flags}}

# The long runs.
soak *flags:
    cargo xtask soak {{flags}}

# Everything that must hold before a change lands.
ci:
    bash .ci/run
