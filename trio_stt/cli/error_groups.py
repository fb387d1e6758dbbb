"""Exception groups, reduced to the error that a message needs."""


def unwrap_group(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception in a group that is not a group itself."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
