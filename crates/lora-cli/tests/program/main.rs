//! The program as a whole: the real binary on small files.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod adaptive;
mod bad_input;
mod browser;
mod comparing;
mod data_files;
mod demo;
mod diverged;
mod forms_of_data;
mod happy_path;
mod hidden_key;
mod interrupted;
mod kinds;
mod language_model;
mod memory;
mod monte_carlo;
mod new_weights;
mod operations;
mod posteriors_in_folders;
mod precision;
mod prediction_sets;
mod reporting;
mod reporting_curves;
mod results_pages;
mod resuming;
mod scored_alike;
mod seen_rows;
mod serving;
mod sharing;
mod sweep;
mod sweep_choices;
mod sweep_in_parts;
mod sweep_posteriors;
mod torture;
mod tuners;
mod workspace;
