from .examination import Examination as Examination
from .examination import examine as examine
from .page import render as render
from .page import write_report as write_report
