//! From the bins of a reliability table to the bars of its diagram.

use lora_eval::calibration::ReliabilityBin;
use lora_report::ReliabilityBar;

/// One bar a bin, in order.
pub fn reliability_bars(bins: &[ReliabilityBin]) -> Vec<ReliabilityBar> {
    let bar = |bin: &ReliabilityBin| ReliabilityBar {
        lower: bin.lower,
        upper: bin.upper,
        count: bin.count,
        mean_confidence: bin.mean_confidence,
        accuracy: bin.accuracy,
    };
    bins.iter().map(bar).collect()
}
