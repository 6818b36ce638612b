//! A zone file: lines, some of them records, and the serial that every change counts up.

/// A zone file.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// The serial in its SOA record.
    pub serial: u32,
    /// What stands in it, in order.
    pub items: Vec<Item>,
}

/// Something in a zone file.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A line that begins with `;`.
    Comment(String),
    /// A line that begins with `$`.
    Control(String),
    /// The SOA record, which takes several lines.
    Soa(Vec<String>),
    /// Any other record.
    Record(Record),
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// With a dot at the end, or relative to the zone.
    pub name: String,
    /// Seconds.
    pub ttl: u32,
    /// In capitals.
    pub kind: String,
    /// The fields of its value, as bytes.
    pub data: Vec<String>,
}

/// Lines that an SOA record takes.
const SOA_LINES: usize = 6;

impl Zone {
    /// A zone as it is made for a domain.
    #[must_use]
    pub fn new(domain: &str) -> Self {
        let soa = ["ns1.example.net.", "admin.example.net.", "3600", "1800", "1209600", "86400"];
        let record = |name: String, kind: &str, data: &[&str]| {
            let data = data.iter().map(|&field| field.to_owned()).collect();
            Item::Record(Record { name, ttl: 14_400, kind: kind.to_owned(), data })
        };
        let apex = format!("{domain}.");
        let items = vec![
            Item::Comment(format!("; Zone file for {domain}")),
            Item::Control("$TTL 14400".to_owned()),
            Item::Soa(soa.map(str::to_owned).to_vec()),
            record(apex.clone(), "NS", &["ns1.example.net."]),
            record(apex.clone(), "A", &["192.0.2.1"]),
            record(apex.clone(), "MX", &["0", &apex]),
            record("www".to_owned(), "CNAME", &[&apex]),
        ];
        Self { serial: 2_026_010_100, items }
    }

    /// Adds a record as somebody else would.
    pub fn add(&mut self, record: Record) {
        self.items.push(Item::Record(record));
        self.serial += 1;
    }

    /// Its records but the SOA, each with the index of the line where it begins.
    pub fn records(&self) -> impl Iterator<Item = (usize, &Record)> {
        self.lines()
            .filter_map(|(line, item)| if let Item::Record(record) = item { Some((line, record)) } else { None })
    }

    /// What stands in it, each with the index of the line where it begins.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &Item)> {
        self.items.iter().scan(0, |next, item| {
            let line = *next;
            *next += item.line_count();
            Some((line, item))
        })
    }

    /// Where in `items` the record is that begins at a line.
    pub(crate) fn position(&self, line: usize) -> Option<usize> {
        self.lines().position(|(begin, item)| begin == line && matches!(item, Item::Record(_)))
    }
}

impl Item {
    fn line_count(&self) -> usize {
        if matches!(self, Self::Soa(_)) { SOA_LINES } else { 1 }
    }
}
