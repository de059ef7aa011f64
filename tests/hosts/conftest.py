import pytest


def pytest_addoption(parser):
    parser.addoption("--host", choices=["native", "envoy"], default="native", help="what serves the vectors")


@pytest.fixture(scope="session")
def host_name(request):
    return request.config.getoption("--host")
