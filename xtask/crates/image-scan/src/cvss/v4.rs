//! CVSS 4.0 (first.org/cvss/v4-0/specification-document, section 8): the score of the vector's class,
//! less the vector's mean distance from the worst of that class.

use std::collections::BTreeMap;

use super::tenths;

/// The scores of the 270 classes ("MacroVectors"), as the specification's calculator lists them.
const SCORES: &str = include_str!("v4_scores.txt");

/// Each metric's values, worst first.
const METRICS: [(&str, &str); 15] = [
    ("AV", "NALP"),
    ("PR", "NLH"),
    ("UI", "NPA"),
    ("AC", "LH"),
    ("AT", "NP"),
    ("VC", "HLN"),
    ("VI", "HLN"),
    ("VA", "HLN"),
    ("CR", "HML"),
    ("IR", "HML"),
    ("AR", "HML"),
    ("SC", "SHLN"),
    ("SI", "SHLN"),
    ("SA", "SHLN"),
    ("E", "APU"),
];

/// Metrics that are the worst where a vector leaves them open.
const OPTIONAL: [&str; 4] = ["CR", "IR", "AR", "E"];

/// The classes' metrics: those of EQ1, EQ2, EQ3 with EQ6, and EQ4.
const GROUPS: [&[&str]; 4] =
    [&["AV", "PR", "UI"], &["AC", "AT"], &["VC", "VI", "VA", "CR", "IR", "AR"], &["SC", "SI", "SA"]];

type Values<'a> = BTreeMap<&'a str, char>;

pub(super) fn score(metrics: &BTreeMap<&str, &str>) -> Option<f64> {
    let values = read(metrics)?;
    let is = |name: &str, value: char| values.get(name) == Some(&value);
    if ["VC", "VI", "VA", "SC", "SI", "SA"].iter().all(|name| is(name, 'N')) {
        return Some(0.0);
    }
    let class = class(&values);
    let own = lookup(class)?;
    let [eq1, eq2, eq3, eq4, eq5, eq6] = class;
    let lower = |at: usize| {
        let mut next = class;
        next[at] += 1;
        lookup(next)
    };
    let lower_3_6 = match (eq3, eq6) {
        (0, 0) => lower(2).into_iter().chain(lower(5)).reduce(f64::max),
        (1, 0) => lower(5),
        _ => lower(2),
    };
    let steps = [
        (lower(0), worst_1(eq1), GROUPS[0]),
        (lower(1), worst_2(eq2), GROUPS[1]),
        (lower_3_6, worst_3_6(eq3, eq6), GROUPS[2]),
        (lower(3), worst_4(eq4), GROUPS[3]),
    ];
    let (mut sum, mut count) = (0.0, 0.0);
    for (lower, (worst, depth), group) in steps {
        let Some(lower) = lower else { continue };
        let distance = worst.iter().find_map(|worst| distance(&values, group, worst))?;
        sum += (own - lower) * distance / depth;
        count += 1.0;
    }
    // EQ5 has one metric, so that every vector is the worst of its class.
    if eq5 < 2 && lower(4).is_some() {
        count += 1.0;
    }
    let mean = if count > 0.0 { sum / count } else { 0.0 };
    Some(tenths((own - mean).clamp(0.0, 10.0)))
}

fn read<'a>(metrics: &BTreeMap<&'a str, &str>) -> Option<Values<'a>> {
    METRICS
        .into_iter()
        .map(|(name, worst_first)| {
            let given = metrics.get_key_value(name).filter(|(_, value)| **value != "X");
            let value = match given {
                None if OPTIONAL.contains(&name) => worst_first.chars().next()?,
                None => return None,
                // Safety is a value of the modified metrics alone, which no advisory uses.
                Some((_, value)) => worst_first.chars().find(|c| *value == c.to_string() && *c != 'S')?,
            };
            Some((name, value))
        })
        .collect()
}

fn class(values: &Values<'_>) -> [u8; 6] {
    let is = |name: &str, value: char| values.get(name) == Some(&value);
    let (av, pr, ui) = (is("AV", 'N'), is("PR", 'N'), is("UI", 'N'));
    let eq1 = match () {
        () if av && pr && ui => 0,
        () if (av || pr || ui) && !is("AV", 'P') => 1,
        () => 2,
    };
    let eq2 = u8::from(!(is("AC", 'L') && is("AT", 'N')));
    let (vc, vi, va) = (is("VC", 'H'), is("VI", 'H'), is("VA", 'H'));
    let eq3 = match () {
        () if vc && vi => 0,
        () if vc || vi || va => 1,
        () => 2,
    };
    let subsequent = ["SC", "SI", "SA"].iter().any(|name| is(name, 'H'));
    let eq4 = if subsequent { 1 } else { 2 };
    let eq5 = if is("E", 'A') {
        0
    } else if is("E", 'P') {
        1
    } else {
        2
    };
    let eq6 = u8::from(!(vc && is("CR", 'H') || vi && is("IR", 'H') || va && is("AR", 'H')));
    [eq1, eq2, eq3, eq4, eq5, eq6]
}

fn lookup(class: [u8; 6]) -> Option<f64> {
    let name: String = class.iter().map(u8::to_string).collect();
    let entry = SCORES.split_whitespace().find_map(|entry| entry.strip_prefix(&name)?.strip_prefix('='));
    entry?.parse().ok()
}

/// The steps from `worst` down to the vector in the group's metrics; none where one goes up.
fn distance(values: &Values<'_>, group: &[&str], worst: &str) -> Option<f64> {
    let mut sum = 0;
    for (name, worst) in group.iter().zip(worst.chars()) {
        let (_, order) = METRICS.iter().find(|(metric, _)| metric == name)?;
        let level = |value: char| order.find(value);
        sum += level(*values.get(name)?)?.checked_sub(level(worst)?)?;
    }
    // A handful of steps.
    u32::try_from(sum).ok().map(f64::from)
}

/// The worst vectors of a class of EQ1 and the depth of the class; the like for the others.
fn worst_1(eq: u8) -> (&'static [&'static str], f64) {
    match eq {
        0 => (&["NNN"], 1.0),
        1 => (&["ANN", "NLN", "NNP"], 4.0),
        _ => (&["PNN", "ALP"], 5.0),
    }
}

fn worst_2(eq: u8) -> (&'static [&'static str], f64) {
    if eq == 0 { (&["LN"], 1.0) } else { (&["HN", "LP"], 2.0) }
}

fn worst_3_6(eq3: u8, eq6: u8) -> (&'static [&'static str], f64) {
    match (eq3, eq6) {
        (0, 0) => (&["HHHHHH"], 7.0),
        (0, _) => (&["HHLMMH", "HHHMMM"], 6.0),
        (1, 0) => (&["LHHHHH", "HLHHHH"], 8.0),
        (1, _) => (&["LHLHMH", "LHHHMM", "HLHMHM", "HLLMHH", "LLHHHM"], 8.0),
        _ => (&["LLLHHH"], 10.0),
    }
}

fn worst_4(eq: u8) -> (&'static [&'static str], f64) {
    match eq {
        0 => (&["HSS"], 6.0),
        1 => (&["HHH"], 5.0),
        _ => (&["LLL"], 4.0),
    }
}
