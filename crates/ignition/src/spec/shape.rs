//! Which keys a config may have, since which version.

use super::Version::{self, V3_0, V3_1, V3_2, V3_3, V3_4, V3_5};
use crate::schema::{Field, Shape, Shape::*};

pub(crate) type Fields = &'static [Field<Version>];

pub(crate) const fn field(
    name: &'static str,
    since: Version,
    shape: Shape<Version>,
) -> Field<Version> {
    Field { name, since, shape }
}

pub(super) const CONFIG: Fields = &[
    field("ignition", V3_0, Map(IGNITION)),
    field("kernelArguments", V3_3, Map(KERNEL_ARGUMENTS)),
    field("passwd", V3_0, Map(PASSWD)),
    field("storage", V3_0, Map(STORAGE)),
    field("systemd", V3_0, Map(SYSTEMD)),
];

const IGNITION: Fields = &[
    field(
        "config",
        V3_0,
        Map(&[
            field("merge", V3_0, List(&Map(REFERENCE))),
            field("replace", V3_0, Map(REFERENCE)),
        ]),
    ),
    field(
        "proxy",
        V3_1,
        Map(&[
            field("httpProxy", V3_1, Text),
            field("httpsProxy", V3_1, Text),
            field("noProxy", V3_1, List(&Text)),
        ]),
    ),
    field(
        "security",
        V3_0,
        Map(&[field(
            "tls",
            V3_0,
            Map(&[field("certificateAuthorities", V3_0, List(&Map(REFERENCE)))]),
        )]),
    ),
    field(
        "timeouts",
        V3_0,
        Map(&[
            field("httpResponseHeaders", V3_0, Integer),
            field("httpTotal", V3_0, Integer),
        ]),
    ),
    field("version", V3_0, Text),
];

/// What is fetched to be used while Ignition runs.
const REFERENCE: Fields = &[
    field("compression", V3_1, Text),
    field("httpHeaders", V3_1, List(&Map(HTTP_HEADER))),
    field("source", V3_0, Text),
    field("verification", V3_0, Map(VERIFICATION)),
];

/// What is fetched to become the contents of something.
const CONTENTS: Fields = &[
    field("compression", V3_0, Text),
    field("httpHeaders", V3_1, List(&Map(HTTP_HEADER))),
    field("source", V3_0, Text),
    field("verification", V3_0, Map(VERIFICATION)),
];

const HTTP_HEADER: Fields = &[field("name", V3_1, Text), field("value", V3_1, Text)];

const VERIFICATION: Fields = &[field("hash", V3_0, Text)];

const KERNEL_ARGUMENTS: Fields = &[
    field("shouldExist", V3_3, List(&Text)),
    field("shouldNotExist", V3_3, List(&Text)),
];

const PASSWD: Fields = &[
    field(
        "groups",
        V3_0,
        List(&Map(&[
            field("gid", V3_0, Integer),
            field("name", V3_0, Text),
            field("passwordHash", V3_0, Text),
            field("shouldExist", V3_2, Bool),
            field("system", V3_0, Bool),
        ])),
    ),
    field(
        "users",
        V3_0,
        List(&Map(&[
            field("gecos", V3_0, Text),
            field("groups", V3_0, List(&Text)),
            field("homeDir", V3_0, Text),
            field("name", V3_0, Text),
            field("noCreateHome", V3_0, Bool),
            field("noLogInit", V3_0, Bool),
            field("noUserGroup", V3_0, Bool),
            field("passwordHash", V3_0, Text),
            field("primaryGroup", V3_0, Text),
            field("shell", V3_0, Text),
            field("shouldExist", V3_2, Bool),
            field("sshAuthorizedKeys", V3_0, List(&Text)),
            field("system", V3_0, Bool),
            field("uid", V3_0, Integer),
        ])),
    ),
];

const STORAGE: Fields = &[
    field(
        "directories",
        V3_0,
        List(&Map(&[
            field("group", V3_0, Map(OWNER)),
            field("mode", V3_0, Integer),
            field("overwrite", V3_0, Bool),
            field("path", V3_0, Text),
            field("user", V3_0, Map(OWNER)),
        ])),
    ),
    field(
        "disks",
        V3_0,
        List(&Map(&[
            field("device", V3_0, Text),
            field("partitions", V3_0, List(&Map(PARTITION))),
            field("wipeTable", V3_0, Bool),
        ])),
    ),
    field(
        "files",
        V3_0,
        List(&Map(&[
            field("append", V3_0, List(&Map(CONTENTS))),
            field("contents", V3_0, Map(CONTENTS)),
            field("group", V3_0, Map(OWNER)),
            field("mode", V3_0, Integer),
            field("overwrite", V3_0, Bool),
            field("path", V3_0, Text),
            field("user", V3_0, Map(OWNER)),
        ])),
    ),
    field(
        "filesystems",
        V3_0,
        List(&Map(&[
            field("device", V3_0, Text),
            field("format", V3_0, Text),
            field("label", V3_0, Text),
            field("mountOptions", V3_1, List(&Text)),
            field("options", V3_0, List(&Text)),
            field("path", V3_0, Text),
            field("uuid", V3_0, Text),
            field("wipeFilesystem", V3_0, Bool),
        ])),
    ),
    field(
        "links",
        V3_0,
        List(&Map(&[
            field("group", V3_0, Map(OWNER)),
            field("hard", V3_0, Bool),
            field("overwrite", V3_0, Bool),
            field("path", V3_0, Text),
            field("target", V3_0, Text),
            field("user", V3_0, Map(OWNER)),
        ])),
    ),
    field("luks", V3_2, List(&Map(LUKS))),
    field(
        "raid",
        V3_0,
        List(&Map(&[
            field("devices", V3_0, List(&Text)),
            field("level", V3_0, Text),
            field("name", V3_0, Text),
            field("options", V3_0, List(&Text)),
            field("spares", V3_0, Integer),
        ])),
    ),
];

const OWNER: Fields = &[field("id", V3_0, Integer), field("name", V3_0, Text)];

const PARTITION: Fields = &[
    field("guid", V3_0, Text),
    field("label", V3_0, Text),
    field("number", V3_0, Integer),
    field("resize", V3_2, Bool),
    field("shouldExist", V3_0, Bool),
    field("sizeMiB", V3_0, Integer),
    field("startMiB", V3_0, Integer),
    field("typeGuid", V3_0, Text),
    field("wipePartitionEntry", V3_0, Bool),
];

pub(crate) const CEX: Field<Version> = field("cex", V3_5, Map(&[field("enabled", V3_5, Bool)]));

pub(crate) const TANG: Field<Version> = field(
    "tang",
    V3_2,
    List(&Map(&[
        field("advertisement", V3_4, Text),
        field("thumbprint", V3_2, Text),
        field("url", V3_2, Text),
    ])),
);

const LUKS: Fields = &[
    CEX,
    field(
        "clevis",
        V3_2,
        Map(&[
            field(
                "custom",
                V3_2,
                Map(&[
                    field("config", V3_2, Text),
                    field("needsNetwork", V3_2, Bool),
                    field("pin", V3_2, Text),
                ]),
            ),
            TANG,
            field("threshold", V3_2, Integer),
            field("tpm2", V3_2, Bool),
        ]),
    ),
    field("device", V3_2, Text),
    field("discard", V3_4, Bool),
    field("keyFile", V3_2, Map(CONTENTS)),
    field("label", V3_2, Text),
    field("name", V3_2, Text),
    field("openOptions", V3_4, List(&Text)),
    field("options", V3_2, List(&Text)),
    field("uuid", V3_2, Text),
    field("wipeVolume", V3_2, Bool),
];

const SYSTEMD: Fields = &[field(
    "units",
    V3_0,
    List(&Map(&[
        field("contents", V3_0, Text),
        field(
            "dropins",
            V3_0,
            List(&Map(&[
                field("contents", V3_0, Text),
                field("name", V3_0, Text),
            ])),
        ),
        field("enabled", V3_0, Bool),
        field("mask", V3_0, Bool),
        field("name", V3_0, Text),
    ])),
)];
