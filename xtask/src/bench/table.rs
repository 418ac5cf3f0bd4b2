//! The tables.

use super::{Outcome, Target};
use crate::measure::Usage;
use crate::tools::thousands;

const MIB: f64 = (1 << 20) as f64;

/// Prints what each needed, and our ratio to each peer. The first outcome is ours.
pub fn print(title: &str, outcomes: &[Outcome]) {
    println!("\n{title}");
    println!(
        "  {:<14} {:>9} {:>9} {:>10}   {:>10} {:>10}   target",
        "", "CPU s", "wall s", "peak MiB", "our CPU", "our wall"
    );
    let ours = outcomes[0].usage;
    for (i, Outcome { name, target, usage }) in outcomes.iter().enumerate() {
        let figures = format!("{:>9.3} {:>9.3} {:>10.1}", usage.cpu, usage.wall, usage.memory as f64 / MIB);
        if i == 0 {
            println!("  {name:<14} {figures}");
            continue;
        }
        let (cpu, wall) = (ours.cpu / usage.cpu, ours.wall / usage.wall);
        let aim = target.map(|target| match target {
            Target::Cpu(aim) => ("CPU", aim, cpu <= aim),
            Target::Wall(aim) => ("wall", aim, wall <= aim),
        });
        let verdict = aim.map_or(String::new(), |(what, aim, met)| {
            format!("{what} ≤ {aim:.2} {}", if met { "met" } else { "MISSED" })
        });
        println!("  {name:<14} {figures}   {cpu:>10.2} {wall:>10.2}   {verdict}");
    }
}

/// Prints peak memory; the first row is a run with nothing to hold.
pub fn print_memory(entries: usize, rows: &[(&str, Usage)]) {
    println!("\nmemory, {} entries", thousands(entries as u64));
    let idle = rows[0].1.memory;
    let limit = 60.0 * MIB + 120.0 * entries as f64;
    for (name, usage) in rows {
        let each = (usage.memory.saturating_sub(idle)) as f64 / entries as f64;
        let verdict = if usage.memory as f64 <= limit { "met" } else { "MISSED" };
        let (peak, limit) = (usage.memory as f64 / MIB, limit / MIB);
        println!("  {name:<14} peak {peak:>7.1} MiB   {each:>6.0} bytes an entry   ≤ {limit:.1} MiB {verdict}");
    }
}

/// The median of each figure.
pub fn median(samples: &[Usage]) -> Usage {
    let middle = |figure: fn(&Usage) -> f64| {
        let mut figures: Vec<f64> = samples.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures[figures.len() / 2]
    };
    Usage { cpu: middle(|u| u.cpu), wall: middle(|u| u.wall), memory: middle(|u| u.memory as f64) as u64 }
}
