#!/usr/bin/env bash
# Reference cases and times on a graphics device, side by side with the processor's: a quarter of an hour once it is built.
#
#   xtask/graphics.sh vulkan            # the feature, which is the device's name too
#   xtask/graphics.sh cuda cuda:1       # another device of it
#
# What fails is printed and does not end the script: its last line says how much of it passed.
set -uo pipefail
cd "$(dirname "$0")/.."
feature=${1:?vulkan, cuda, rocm, metal or wgpu}
device=${2:-$feature}
workbench() {
    cargo run --quiet --release --package workbench --features "$feature" -- "$@"
}
cargo build --release --package workbench --features "$feature" || exit 1
passed=0
for cases in xtask/golden crates/lora-models/tests/golden; do
    workbench golden --dir "$cases" --device "$device" && passed=$((passed + 1))
done
works=(--work forward --work step --work step-example-masks)
shapes=(--shapes minilm-16x64 --shapes base-8x128)
workbench bench --no-criterion --turns 3 "${shapes[@]}" "${works[@]}" --device "$device" \
    --output "target/bench/$feature" && passed=$((passed + 1))
workbench bench --no-criterion --turns 3 "${shapes[@]}" "${works[@]}" --output target/bench/processor && passed=$((passed + 1))
echo "$device: $passed of 4 parts passed (two folders of reference cases, times on it, times on the processor)"
[ "$passed" = 4 ]
