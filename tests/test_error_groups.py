"""Errors in exception groups, as the command line reports them."""

import pytest

from trio_stt.cli.error_groups import unwrap_errors
from trio_stt.errors import AudioFileError, SettingError


def test_error_in_nested_groups_is_raised_by_itself() -> None:
    error = SettingError("port")
    with pytest.raises(SettingError) as caught, unwrap_errors(SettingError):
        raise ExceptionGroup("outer", [ExceptionGroup("inner", [error])])
    assert caught.value is error


def test_group_with_unexpected_errors_stays() -> None:
    group = ExceptionGroup("", [SettingError("port"), AudioFileError("file")])
    with pytest.raises(ExceptionGroup) as caught, unwrap_errors(SettingError):
        raise group
    assert caught.value is group


def test_error_outside_of_a_group_stays() -> None:
    with pytest.raises(AudioFileError), unwrap_errors(SettingError):
        raise AudioFileError("file")
