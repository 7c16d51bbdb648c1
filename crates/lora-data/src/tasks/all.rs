//! The table of all tasks.

use super::{Benchmark, choices, clinc, glue, instructions, mmlu, spans, trec, words};

/// Every task, in the order in which help lists them.
pub static ALL: &[&Benchmark] = &[
    &glue::COLA,
    &glue::SST2,
    &glue::MRPC,
    &glue::QQP,
    &glue::MNLI,
    &glue::QNLI,
    &glue::RTE,
    &glue::STSB,
    &trec::TREC,
    &trec::TREC_FINE,
    &clinc::CLINC150,
    &clinc::CLINC150_SMALL,
    &spans::SQUAD,
    &spans::SQUAD_V2,
    &words::CONLL2003,
    &choices::BOOLQ,
    &choices::OBQA,
    &choices::ARC_EASY,
    &choices::ARC_CHALLENGE,
    &choices::WINOGRANDE,
    &mmlu::MMLU,
    &instructions::ALPACA,
    &choices::USER,
    &spans::USER,
    &words::USER,
    &instructions::USER,
];
