"""Options that several commands have."""

from typing import Annotated

from cyclopts import Parameter

Json = Annotated[bool, Parameter(help="JSON, one object a line; times in Unix seconds.", show_default=False)]
Yes = Annotated[bool, Parameter(help="Do not ask.", show_default=False)]
Limit = Annotated[int, Parameter(help="The newest so many at most.")]
