//! The tags of header entries that are read here, by rpm's names for them.

use std::fmt;

/// What an entry of a header is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) number: u32,
    name: &'static str,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! tags {
    ($($name:ident = $number:literal,)*) => {
        $(pub(in crate::rpm) const $name: Tag = Tag { number: $number, name: stringify!($name) };)*
    };
}

/// Those of the signature. Their numbers mean something else in the header.
pub(super) mod signature {
    use super::Tag;

    tags! {
        SHA1 = 269,
        LONGSIZE = 270,
        LONGARCHIVESIZE = 271,
        SHA256 = 273,
        SHA3_256 = 279,
        SIZE = 1000,
        MD5 = 1004,
        PAYLOADSIZE = 1007,
    }
}

tags! {
    NAME = 1000,
    VERSION = 1001,
    RELEASE = 1002,
    EPOCH = 1003,
    SUMMARY = 1004,
    DESCRIPTION = 1005,
    BUILDTIME = 1006,
    BUILDHOST = 1007,
    SIZE = 1009,
    VENDOR = 1011,
    LICENSE = 1014,
    PACKAGER = 1015,
    GROUP = 1016,
    URL = 1020,
    ARCH = 1022,
    PREIN = 1023,
    POSTIN = 1024,
    PREUN = 1025,
    POSTUN = 1026,
    OLDFILENAMES = 1027,
    FILESIZES = 1028,
    FILEMODES = 1030,
    FILERDEVS = 1033,
    FILEMTIMES = 1034,
    FILEDIGESTS = 1035,
    FILELINKTOS = 1036,
    FILEFLAGS = 1037,
    FILEUSERNAME = 1039,
    FILEGROUPNAME = 1040,
    SOURCERPM = 1044,
    ARCHIVESIZE = 1046,
    PROVIDENAME = 1047,
    REQUIREFLAGS = 1048,
    REQUIRENAME = 1049,
    REQUIREVERSION = 1050,
    CONFLICTFLAGS = 1053,
    CONFLICTNAME = 1054,
    CONFLICTVERSION = 1055,
    TRIGGERSCRIPTS = 1065,
    CHANGELOGTIME = 1080,
    CHANGELOGNAME = 1081,
    CHANGELOGTEXT = 1082,
    PREINPROG = 1085,
    POSTINPROG = 1086,
    PREUNPROG = 1087,
    POSTUNPROG = 1088,
    OBSOLETENAME = 1090,
    FILEDEVICES = 1095,
    FILEINODES = 1096,
    SOURCEPACKAGE = 1106,
    PROVIDEFLAGS = 1112,
    PROVIDEVERSION = 1113,
    OBSOLETEFLAGS = 1114,
    OBSOLETEVERSION = 1115,
    DIRINDEXES = 1116,
    BASENAMES = 1117,
    DIRNAMES = 1118,
    PRETRANS = 1151,
    POSTTRANS = 1152,
    PRETRANSPROG = 1153,
    POSTTRANSPROG = 1154,
    LONGFILESIZES = 5008,
    LONGSIZE = 5009,
    FILECAPS = 5010,
    FILEDIGESTALGO = 5011,
    RECOMMENDNAME = 5046,
    RECOMMENDVERSION = 5047,
    RECOMMENDFLAGS = 5048,
    SUGGESTNAME = 5049,
    SUGGESTVERSION = 5050,
    SUGGESTFLAGS = 5051,
    SUPPLEMENTNAME = 5052,
    SUPPLEMENTVERSION = 5053,
    SUPPLEMENTFLAGS = 5054,
    ENHANCENAME = 5055,
    ENHANCEVERSION = 5056,
    ENHANCEFLAGS = 5057,
    FILETRIGGERSCRIPTS = 5066,
    TRANSFILETRIGGERSCRIPTS = 5076,
    PAYLOADSHA256 = 5092,
    PAYLOADSHA256ALT = 5097,
    PREUNTRANS = 5103,
    POSTUNTRANS = 5104,
    PREUNTRANSPROG = 5105,
    POSTUNTRANSPROG = 5106,
    PAYLOADSIZE = 5112,
    PAYLOADSIZEALT = 5113,
    PAYLOADSHA512 = 5121,
    PAYLOADSHA512ALT = 5122,
    PAYLOADSHA3_256 = 5123,
    PAYLOADSHA3_256ALT = 5124,
}
