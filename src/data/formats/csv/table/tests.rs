//! Tables from CSV, read and refused.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;

fn read(text: impl AsRef<[u8]>, names: &[&str]) -> Result<SeriesTable> {
    SeriesTable::from_csv(text.as_ref(), Path::new("a.csv"), names, None)
}

#[track_caller]
fn refused(text: impl AsRef<[u8]>, message: &str) {
    assert_eq!(read(text, &["v"]).unwrap_err().to_string(), format!("a.csv{message}"));
}

#[test]
fn the_bundled_series_has_every_year_from_1700_to_2008() {
    let table = read(SUNSPOTS, &["SUNACTIVITY"]).unwrap();
    assert_eq!(table.labels, (1700..=2008).map(|year| year.to_string()).collect::<Vec<_>>());
    let values = &table.columns[0].values;
    assert_eq!((table.label_name.as_str(), values[0], values[308]), ("YEAR", 5.0, 2.9));
}

#[test]
fn columns_come_in_the_requested_order_and_others_are_not_parsed() {
    let table = read("t,a,word,b\n1,2,x,3\n2,,\"y\n\"\"z\"\"\",NaN\n", &["b", "t", "a"]).unwrap();
    assert_eq!((table.label_name.as_str(), table.labels), ("t", vec!["1".to_owned(), "2".to_owned()]));
    let columns: Vec<_> = table.columns.iter().map(|column| (column.name.as_str(), column.values[0])).collect();
    assert_eq!(columns, [("b", 3.0), ("t", 1.0), ("a", 2.0)]);
    assert!(table.columns[0].values[1].is_nan() && table.columns[2].values[1].is_nan());
}

#[test]
fn the_separator_is_detected() {
    for text in ["t;v\n1;2\n", "t\tv\n1\t2\n", "\u{feff}t,v\r\n1,2\r\n", "\n\nt, v \n 1 , 2", "\"t\";\"v\"\n1;2\n"] {
        let table = read(text, &["v"]).unwrap();
        assert_eq!((table.labels[0].as_str(), table.columns[0].values[0]), ("1", 2.0), "{text:?}");
    }
    let names = |text: &str| csv_columns(text.as_bytes(), Path::new("a.csv")).unwrap();
    assert_eq!(names("t;\"°C, mean, of all\";v\n"), ["t", "°C, mean, of all", "v"]);
    assert_eq!(names("\"t;u;w\",v"), ["t;u;w", "v"]);
    assert_eq!(names("t\n"), ["t"]);
}

#[test]
fn a_wrong_number_is_named_by_row_line_and_column() {
    let place = ", row 2 (line 3), column \"v\": expected a finite number";
    refused("t,v\n1,2\n2,x\n", &format!("{place}, got \"x\""));
    refused("t,v\r\n1,2\r\n2,inf\r\n", &format!("{place}, got \"inf\""));
    refused("t,v\n1,2\n2,-1e309\n", &format!("{place}, got \"-1e309\""));
    refused("t,v,w\n\n1,2,\"a\nb\"\n\n2,x,\n", &format!("{}, got \"x\"", place.replace("line 3", "line 6")));
}

#[test]
fn a_number_within_f64_but_beyond_f32_is_read() {
    assert_eq!(read("t,v\n1,1e39\n2,-1e300\n", &["v"]).unwrap().columns[0].values, [1e39, -1e300]);
}

#[test]
fn the_limit_that_a_table_beyond_it_is_told_is_enough_for_its_columns() {
    let names: Vec<String> = (0..20).map(|column| format!("v{column}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let row = |row: usize| format!("{}{}\n", 100_000 + row, ",1".repeat(names.len()));
    let text = format!("t,{}\n{}", names.join(","), (0..30_000).map(row).collect::<String>());
    let read = |mebibytes: u64| {
        let limit = InputLimit(mebibytes << 20);
        SeriesTable::csv_within(text.as_bytes(), Path::new("a.csv"), &names, None, limit)
    };
    let refusal = read(1).unwrap_err().to_string();
    let told =
        refusal.split_once("a larger input-limit allows them, such as ").and_then(|(_, told)| told.strip_suffix("MiB"));
    let told: u64 = told.unwrap().parse().unwrap();
    assert!(read(told - 1).is_err(), "{told} is more than it needs");
    assert_eq!(read(told).unwrap().labels.len(), 30_000);
}

#[test]
fn an_integer_that_f64_would_round_is_refused() {
    let refusal = read("t,v\n1,9007199254740992\n2,9007199254740993\n", &["v"]).unwrap_err().to_string();
    let place = "a.csv, row 2 (line 3), column \"v\": expected a whole number that f64 holds";
    assert!(refusal.starts_with(place) && refusal.ends_with("got \"9007199254740993\""), "{refusal}");
}

#[test]
fn each_row_records_the_line_where_it_starts() {
    let table = read("\n\nt,v\r\n\r\n1,2\n\"a\nb\",3\n\n4,5", &["v"]).unwrap();
    assert_eq!(table.lines, [5, 6, 9]);
}

#[test]
fn a_row_of_another_length_is_refused_with_the_separator_and_the_evidence_for_it() {
    let why = "the separator is the comma, with which 2 of 3 lines have 2 fields, like the first";
    refused("t,v\n1,2\n2\n3,4\n", &format!(", row 2 (line 3): expected 2 fields, got 1; {why}"));
    let comma = "quote numbers with a decimal comma";
    refused("t,v\n1,2\n2,3,4\n5,6\n", &format!(", row 2 (line 3): expected 2 fields, got 3; {why}; {comma}"));
    let why = "the separator is the semicolon, with which 1 of 2 lines have 2 fields, like the first";
    refused("t;v\n1;2,5\n2;3;4\n", &format!(", row 2 (line 3): expected 2 fields, got 3; {why}"));
    let why = "the separator is the semicolon, as the line \"sep=;\" sets it";
    refused("sep=;\nt;v\n1;2\n2\n", &format!(", row 2 (line 4): expected 2 fields, got 1; {why}"));
    let why =
        "the separator is the semicolon, which the first line does not have: expected names separated by semicolons";
    let error = read("readings\n1;2\n", &["readings"]).unwrap_err().to_string();
    let title = "remove any lines above the header";
    assert_eq!(error, format!("a.csv, row 1 (line 2): expected 1 field, got 2; {why}; {title}"));
    let error = read("t,v\nSat, 30 Mar 2024,5\nSun, 31 Mar 2024,6\n", &["v"]).unwrap_err().to_string();
    assert!(error.ends_with("; quote fields that contain a comma"), "{error}");
}

fn values(text: &str) -> Result<Vec<f64>, String> {
    let name = csv_columns(text.as_bytes(), Path::new("a.csv")).map_err(|error| error.to_string())?.remove(1);
    let table = read(text, &[&name]).map_err(|error| error.to_string())?;
    Ok(table.columns[0].values.clone())
}

fn notes(text: &str, names: &[&str]) -> Vec<String> {
    read(text, names).unwrap().notes
}

#[test]
fn the_separator_is_the_one_that_fits_most_lines() {
    for text in [
        "Datum;Preis, EUR\n2020-01-01;20,00\n2020-01-02;21,50\n",
        "sep=;\nDatum;Preis, EUR\n2020-01-01;20,00\n2020-01-02;21,50\n",
        "\"sep=;\"\r\nDatum;Preis\r\n2020-01-01;20,00\r\n2020-01-02;21,50\r\n",
        "Datum\tPreis, EUR\n2020-01-01\t20,00\n2020-01-02\t21,50\n",
        "Datum|Preis|a, b, c, d\n2020-01-01|20,00|x\n2020-01-02|21,50|y\n",
        "Datum;Preis, netto, EUR\n2020-01-01;20,00\n2020-01-02;21,50\n",
        "Datum;Preis;Ort, Land\n1.1.2020;20,00;Berlin, DE\n2.1.2020;21,50;Rom, IT\n",
        "Datum,\"Preis; EUR\"\n2020-01-01,\"20,00\"\n2020-01-02,\"21,50\"\n",
    ] {
        assert_eq!(values(text), Ok(vec![20.0, 21.5]), "{text}");
    }
    let said = "fields separated by semicolons, not by commas, which fit as many lines";
    let decimals = "numbers have a decimal comma: \"20,00\" is 20";
    assert_eq!(notes("Datum;Preis, EUR\n2020-01-01;20,00\n", &["Preis, EUR"]), [said, decimals]);
    assert_eq!(notes("t;v\n1;2\n", &["v"]), ["fields separated by semicolons"]);
    assert!(notes("t,v\n1,2.5\n", &["v"]).is_empty());
    let message = values("a;b, c\nx;y, z\n").unwrap_err();
    assert!(message.contains("2 fields separated by commas, and 2 fields separated by semicolons"), "{message}");
    assert!(message.ends_with("set it with a line sep=, or sep=; above the header"), "{message}");
    assert!(values("sep=;\na;b, c\nx;5, 5\n").unwrap_err().contains("column \"b, c\": expected a finite number"));
}

#[test]
fn a_given_decimal_mark_decides_how_numbers_are_read() {
    let text = "t;v\n1;1.234\n2;17\n";
    let told = |mark| {
        SeriesTable::from_csv(text.as_bytes(), Path::new("a.csv"), &["v"], mark).map_err(|error| error.to_string())
    };
    assert_eq!(told(Some(DecimalMark::Point)).unwrap().columns[0].values, [1.234, 17.0]);
    assert_eq!(told(Some(DecimalMark::Comma)).unwrap().columns[0].values, [1234.0, 17.0]);
    assert!(told(None).unwrap_err().contains("1.234 with --decimal . and 1234 with --decimal ,"));
    // Columns that are not requested are no evidence.
    assert_eq!(notes("t,v,w\n1,2.5,\"3,5\"\n", &["v"]), [] as [&str; 0]);
}

#[test]
fn every_common_word_for_a_missing_value_is_accepted() {
    for word in ["", "?", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "null", "NULL", "None", "#N/A", "<NA>", ".", " "] {
        let values = values(&format!("t,v\n1,2\n2,{word}\n3,4\n")).unwrap();
        assert!(values[1].is_nan() && values[2] == 4.0, "{word:?}");
    }
    refused(
        "t,v\n1,2\n2,-\n",
        ", row 2 (line 3), column \"v\": expected a finite number, got \"-\", which may be 0 or \
             missing: write 0, or leave the field empty",
    );
}

#[test]
fn lines_of_separators_are_gaps_inside_and_ignored_at_the_end() {
    for (text, note) in [
        ("t;v\n1;2\n;\n3;4\n;\n;\n", "the last 2 lines, from line 5 on, have only ';' and are ignored"),
        ("t,v\r\n1,2\r\n , \r\n3,4\r\n,\r\n\r\n", "the last line has only ',' and is ignored"),
    ] {
        let table = read(text, &["v"]).unwrap();
        assert_eq!((&table.labels[..], &table.lines[..]), (&["1", "", "3"].map(String::from)[..], &[2, 3, 4][..]));
        assert!(table.columns[0].values[1].is_nan());
        assert_eq!(table.notes.last().map(String::as_str), Some(note));
    }
    // A label alone is a row: the future may be known of it.
    assert_eq!(read("t,v\n1,2\n3,\n", &["v"]).unwrap().labels, ["1", "3"]);
}

#[test]
fn a_first_line_of_values_is_a_row() {
    let table = read("2020-01-01,5.5\n2020-01-02,6.5\n", &["2"]).unwrap();
    assert_eq!((table.label_name.as_str(), &table.lines[..]), ("1", &[1, 2][..]));
    assert_eq!(table.columns[0].values, [5.5, 6.5]);
    let said = "no header: the first line, \"2020-01-01\" \"5.5\", is a row, and the columns are named 1 to 2";
    assert_eq!(table.notes, [said]);
    let place = ", row 2 (line 3), column \"2\": expected a finite number, got \"x\"";
    let error = read("2020-01-01,5.5\n\n2020-01-02,x\n", &["2"]).unwrap_err().to_string();
    assert_eq!(error, format!("a.csv{place}"));
    let years = "column names are numbers: the first line, \"shop\" \"1990\" \"1991\", is read as the header";
    assert_eq!(notes("shop,1990,1991\na,1,2\n", &["1990"]), [years]);
    refused(
        "0,1\n1,2\n",
        ", line 1: expected a header, got \"0\" \"1\", which may be names or values: add a header line above it",
    );
    refused(
        "1,5.5\n2,6.5\n",
        ": expected a column \"v\", got the columns 1, 2, since the first line has values and no names",
    );
}

#[test]
fn a_column_without_a_name_is_ignored_with_a_note() {
    assert!(notes("t,v,\n1,2,\n", &["v"]).is_empty());
    assert_eq!(notes("t,v,\n1,2,3\n", &["v"]), ["field 3 has values and no name, and is not read"]);
    refused("t,w,\n1,2,\n", ": expected a column \"v\", got the columns t, w");
}

#[test]
fn lines_above_the_header_are_refused_with_advice_to_remove_them() {
    let error = |text: &str, name: &str| read(text, &[name]).unwrap_err().to_string();
    let take = "remove the lines above it";
    for text in ["# source: X\nt,v\n1,2\n", "# source: X, Y\nt,v\n1,2\n"] {
        let error = error(text, "v");
        assert!(error.contains("expected a column \"v\"") && error.ends_with(take), "{error}");
    }
    let error = error("Sales,2024\nt,v\n1,2\n", "2024");
    let place = "a.csv, row 1 (line 2), column \"2024\": expected a finite number, got \"v\"";
    assert_eq!(error, format!("{place}; if this line is the header, {take}"));
}

#[test]
fn a_header_with_another_separator_than_the_rows_is_refused() {
    for (text, other) in [
        ("Datum,Wert\n2024-01-01;20,50\n2024-01-02;21,50\n", "semicolons in the first field of every row"),
        ("Datum,A,B\n2024-01-01\t20,50\t1,5\n2024-01-02\t21,50\t2,5\n", "tabs in the first field of every row"),
    ] {
        let error = read(text, &["Wert"]).unwrap_err().to_string();
        let expected = format!("a.csv: expected names and rows with one separator, got names with commas and {other}");
        assert!(error.starts_with(&expected) && error.contains("sep=, or sep="), "{error}");
    }
    assert_eq!(values("t,v\n\"a;b\",2\nc,3\n"), Ok(vec![2.0, 3.0]));
    assert_eq!(values("sep=,\nt,v\na;b,2\nc;d,3\n"), Ok(vec![2.0, 3.0]));
}

#[test]
fn a_first_line_with_a_time_in_any_form_is_a_row() {
    for (first, second) in [
        ("Jan 2020", "Feb 2020"),
        ("Q1 2000", "Q2 2000"),
        ("Mon 01.01.2024", "Tue 02.01.2024"),
        ("5/1/2021", "5/2/2021"),
        ("t0", "t1"),
    ] {
        assert_eq!(values(&format!("{first},17\n{second},18\n")), Ok(vec![17.0, 18.0]), "{first}");
    }
}

#[test]
fn an_unnamed_first_column_is_the_time_and_is_reported() {
    let what = "the first column has no name and is read as the time";
    let dated = ",date,w,v\n0,2024-01-02,x,1\n1,2024-01-01,y,2\n";
    assert_eq!(notes(dated, &["v"]), [format!("{what}; put \"date\" first to check its order")]);
    assert_eq!(notes(",v\n0,1\n1,2\n", &["v"]), [what]);
}

#[test]
fn every_line_ending_is_accepted() {
    let text = "t,v\r1,2\r2,x\r";
    refused(text, ", row 2 (line 3), column \"v\": expected a finite number, got \"x\"");
    let table = read(text.replace('x', "3"), &["v"]).unwrap();
    assert_eq!((&table.lines[..], &table.notes[..]), (&[2, 3][..], &[][..]));
}

#[test]
fn a_truncated_file_is_refused() {
    let open = "expected a closing quotation mark, got the end of the file";
    refused("t,v\n1,2\n2,\"3", &format!(", row 2 (line 3): {open}"));
    refused("t,v\n1,2\n\"2,3\n4,5\n6,7\n", &format!(", row 2 (line 3): {open}"));
    refused("t,\"v\n1,2\n", &format!(", line 1: {open}"));
    assert!(read("t,v\n1,2\n2", &["v"]).unwrap_err().to_string().contains("row 2 (line 3): expected 2 fields, got 1"));
    assert!(read("t,v\n1,\"2\"", &["v"]).is_ok());
    assert!(read("t,v,w\n1,2,a\"", &["v"]).is_ok());
}

#[test]
fn another_encoding_is_refused_at_its_first_wrong_byte() {
    let place = ", line 3, byte offset 10: expected UTF-8 text";
    refused(
        b"t,v\n1,2\n2,\xE9\n",
        &format!("{place}, got the byte 0xE9; this looks like another encoding, such as Latin-1"),
    );
}

#[test]
fn a_file_without_columns_or_rows_is_refused() {
    let empty = ": expected a header line and rows below it, got an empty file";
    for text in ["", "\n\n", " \n1,2\n", "\u{feff}", ",,\n1,2,3\n"] {
        refused(text, empty);
    }
    refused("t,v\n", ": expected rows below the column names, got none");
}

#[test]
fn a_missing_or_duplicate_column_is_refused() {
    refused("t,w\n1,2\n", ": expected a column \"v\", got the columns t, w");
    refused("t,v,w,v\n1,2,3,4\n", ": expected one column \"v\", got two, the fields 2 and 4");
    refused("t,w,v,w\n1,2,3,4\n", ": expected one column \"w\", got two, the fields 2 and 4");
    assert!(read("t,v,,\n1,2,,\n", &["v"]).is_ok());
}

#[test]
fn a_line_of_millions_of_characters_is_read_or_refused_with_a_short_message() {
    let long = "x".repeat(8_000_000);
    let short = |text: String| {
        let message = read(&text, &["v"]).unwrap_err().to_string();
        assert!(message.chars().count() < 4000, "{} characters", message.chars().count());
        message
    };
    assert!(short(format!("t,v\n1,{long}\n")).contains("row 1 (line 2), column \"v\""));
    // A name of so many is none.
    assert!(short(format!("t,{long}\n1,2\n")).contains("at most 1048576 bytes, got one of 8000000"));
    let name = "x".repeat(1_000_000);
    assert!(short(format!("t,{name}\n1,2\n")).contains("x…"));
    assert!(short(format!("t,v\n1,\"{long}")).contains("closing quotation mark"));
    assert!(short(format!("t,v\n1{}\n", ",2".repeat(5_000_000))).contains("expected 2 fields, got 5000001"));
    let names: String = (0..500_000).map(|name| format!(",{name}")).collect();
    assert!(short(format!("t{names}\n1\n")).contains("and 499961 more"));
    assert!(short(format!("{name},{name}\n1,2\n")).contains("got two, the fields 1 and 2"));
    assert_eq!(read(format!("t,v\n{long},2\n"), &["v"]).unwrap().labels[0].len(), long.len());
}

fn below(n: usize, rng: &mut ChaCha8Rng) -> usize {
    (rng.next_u64() % n as u64) as usize
}

fn word(rng: &mut ChaCha8Rng) -> String {
    let letters = ['a', 'Z', '7', ',', ';', '\t', '"', '\n', '\r', ' ', 'é', '…'];
    let letters: String = (0..below(6, rng)).map(|_| letters[below(letters.len(), rng)]).collect();
    // A name or a label is taken without the blanks around it.
    format!("w{letters}w")
}

fn table(rng: &mut ChaCha8Rng) -> SeriesTable {
    let rows = 1 + below(6, rng);
    let value = |rng: &mut ChaCha8Rng| match below(4, rng) {
        0 => f64::NAN,
        1 => f64::from(below(2000, rng) as i32 - 1000),
        _ => f64::from(f32::from_bits(rng.next_u32() & 0x7eff_ffff)) * if below(2, rng) == 0 { 1.0 } else { -1.0 },
    };
    let mut column =
        |index| Column { name: format!("{}{index}", word(rng)), values: (0..rows).map(|_| value(rng)).collect() };
    let columns = (0..4).map(&mut column).collect();
    SeriesTable {
        label_name: word(rng),
        labels: (0..rows).map(|_| word(rng)).collect(),
        columns,
        ..SeriesTable::default()
    }
}

/// As RFC 4180 has it, with any separator; fields that need no quotation marks have them at random.
fn write(table: &SeriesTable, rng: &mut ChaCha8Rng) -> String {
    let separator = [",", ";", "\t"][below(3, rng)];
    let end = ["\n", "\r\n"][below(2, rng)];
    let field = |text: String, rng: &mut ChaCha8Rng| {
        let needs = text.contains([',', ';', '\t', '"', '\n', '\r']);
        if needs || below(4, rng) == 0 { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
    };
    let line = |first: &String, others: Vec<String>, rng: &mut ChaCha8Rng| {
        let fields = [vec![first.clone()], others].concat();
        fields.into_iter().map(|text| field(text, rng)).collect::<Vec<_>>().join(separator) + end
    };
    let number = |value: f64| {
        if value.is_nan() {
            String::new()
        } else if value.abs() < 1e15 {
            value.to_string()
        } else {
            // Its digits are rounded, and so they say.
            format!("{value:e}")
        }
    };
    let mut text = line(&table.label_name, table.columns.iter().map(|column| column.name.clone()).collect(), rng);
    for (row, label) in table.labels.iter().enumerate() {
        text += &line(label, table.columns.iter().map(|column| number(column.values[row])).collect(), rng);
    }
    text
}

/// With infinity, which no file holds, in the place of what is missing, and without lines, so that tables can be
/// compared.
fn comparable(mut table: SeriesTable) -> SeriesTable {
    table.lines.clear();
    table.notes.clear();
    table.decimal = None;
    let values = table.columns.iter_mut().flat_map(|column| &mut column.values);
    values.filter(|value| value.is_nan()).for_each(|value| *value = f64::INFINITY);
    table
}

#[test]
fn a_written_table_is_read_back() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for _ in 0..2000 {
        let table = table(&mut rng);
        let text = write(&table, &mut rng);
        let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        let again = read(&text, &names).unwrap_or_else(|error| panic!("{error}: {text:?}"));
        assert_eq!(comparable(again), comparable(table), "{text:?}");
    }
}

#[test]
fn corrupted_text_is_read_or_refused_without_extra_rows() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (mut readable, mut damaged) = (0, 0);
    for _ in 0..3000 {
        let table = table(&mut rng);
        let mut text = write(&table, &mut rng).into_bytes();
        match below(3, &mut rng) {
            0 => text.truncate(below(text.len(), &mut rng)),
            1 => (0..=below(3, &mut rng)).for_each(|_| {
                let at = below(text.len(), &mut rng);
                text[at] =
                    if below(2, &mut rng) == 0 { b"\",;\t\n\r\0"[below(7, &mut rng)] } else { rng.next_u32() as u8 };
            }),
            _ => text = (0..below(80, &mut rng)).map(|_| rng.next_u32() as u8).collect(),
        }
        let names = csv_columns(&text, Path::new("a.csv")).unwrap_or_default();
        let names: Vec<&str> = names.iter().map(String::as_str).chain(["v"]).collect();
        for first in 0..names.len() {
            match read(&text, &names[first..first + 1]) {
                Ok(table) => {
                    assert!(table.columns.iter().all(|column| column.values.len() == table.labels.len()));
                    readable += 1;
                }
                Err(error) => {
                    assert!(matches!(error, Error::Data { .. }));
                    damaged += 1;
                }
            }
        }
    }
    assert!(readable > 1000 && damaged > 1000, "{readable} read, {damaged} refused");
}
