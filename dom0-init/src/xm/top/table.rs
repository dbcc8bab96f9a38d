//! The columns of `xentop`, which programs that read its batch mode rely on.

use std::fmt::Write;

use super::Row;

const HEADER: &str = "      NAME  STATE   CPU(sec) CPU(%)     MEM(k) MEM(%)  MAXMEM(k) MAXMEM(%) \
                      VCPUS NETS NETTX(k) NETRX(k) VBDS   VBD_OO   VBD_RD   VBD_WR  VBD_RSECT  \
                      VBD_WSECT SSID";

/// The header and a line for each domain.
pub fn rows(rows: &[Row]) -> String {
    let mut text = format!("{HEADER}\n");
    for row in rows {
        text.push_str(&line(row));
        text.push('\n');
    }
    text
}

fn line(row: &Row) -> String {
    let mut text = format!(
        "{:>10} {} {:>10} {:>6.1} {:>10} {:>6.1}",
        shortened(&row.name),
        state(&row.state),
        row.cpu_seconds,
        row.cpu_percent,
        row.memory_kib,
        row.memory_percent,
    );
    // Writing to a string can't fail.
    let _infallible = match row.max_memory_kib {
        Some(limit) => {
            let total = row.memory_kib as f64 / (row.memory_percent / 100.0);
            write!(text, " {limit:>10} {:>9.1}", limit as f64 / total * 100.0)
        }
        None => write!(text, " {:>10} {:>9}", "no limit", "n/a"),
    };
    let (network, disks) = (&row.network, &row.disks);
    let _infallible = write!(
        text,
        " {:>5} {:>4} {:>8} {:>8} {:>4} {:>8} {:>8} {:>8} {:>10} {:>10} {:>4}",
        row.vcpus,
        network.interfaces,
        network.sent_bytes / 1024,
        network.received_bytes / 1024,
        disks.disks,
        disks.out_of_requests,
        disks.reads,
        disks.writes,
        disks.read_sectors,
        disks.written_sectors,
        0,
    );
    text
}

fn shortened(name: &str) -> String {
    name.chars().take(10).collect()
}

/// The state in `xentop`'s order of letters: dying, shut down, blocked, crashed, paused, running.
fn state(state: &str) -> String {
    "dsbcpr".chars().map(|letter| if state.contains(letter) { letter } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::tests::two_looks;
    use super::*;

    #[test]
    fn the_columns_are_those_of_xentop() {
        let (first, second) = two_looks();
        assert_eq!(rows(&second.rows(Some(&first))), include_str!("../../../tests/golden/top.txt"));
    }

    #[test]
    fn states_in_its_own_order() {
        assert_eq!(state("r-----"), "-----r");
        assert_eq!(state("--psc-"), "-s-cp-");
    }
}
