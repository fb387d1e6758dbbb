"""What people want to know of an exception group: the first thing that went wrong in it."""


def unwrap_group(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception that is not a group itself."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
