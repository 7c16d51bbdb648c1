//! How many parameters there are, in PEFT's words.

use lora_core::adapted::{AttachReport, ParameterCount};
use lora_core::trained::Role;
use lora_core::{Adapted, Tuning};
use lora_models::Transformer;

use crate::counted::counted;

/// What a training adapts and trains in full, in one line.
pub fn attached_line(tuning: &Tuning, attached: &AttachReport) -> String {
    let adapted = counted(attached.adapted.len(), "linear");
    let line = format!("tuning {}: {adapted} adapted", tuning.name());
    match &attached.trained_in_full[..] {
        [] => line,
        full => format!("{line}, {} trained in full ({})", full.len(), full.join(", ")),
    }
}

/// PEFT's line of parameter counts. PEFT keeps a frozen copy of every module that is trained in full and counts it too.
pub fn parameter_line(adapted: &Adapted<Transformer>) -> String {
    let ParameterCount { trained, all } = peft_count(adapted);
    let percent = 100.0 * trained as f64 / all as f64;
    format!(
        "trainable params: {} || all params: {} || trainable%: {percent:.4}",
        grouped(trained),
        grouped(all)
    )
}

/// Parameters as PEFT counts them; see [`parameter_line`].
pub fn peft_count(adapted: &Adapted<Transformer>) -> ParameterCount {
    let mut copies = 0;
    adapted.visit_trained(&mut |trained| {
        // Only PEFT's tuners keep one.
        if trained.role == Role::Head && adapted.lora().is_some() {
            copies += trained.param.count();
        }
    });
    let ParameterCount { trained, all } = adapted.count();
    ParameterCount {
        trained,
        all: all + copies,
    }
}

/// A number with commas between groups of three digits.
pub fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(296_450), "296,450");
        assert_eq!(grouped(109_780_228), "109,780,228");
    }
}
