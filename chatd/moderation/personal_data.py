"""What stays of an erased user in moderation. An export leaves out reports and strikes: they concern others as well."""

from chatd.app.personal_data import PersonalData, Remains

PERSONAL_DATA = PersonalData(
    remains=(
        Remains(
            "reports by them and about them, with the evidence",
            "`reports`, the files",
            "`moderation.keep_reports` after they are resolved",
        ),
        Remains("strikes", "`strikes`", "forever: they protect others"),
    )
)
