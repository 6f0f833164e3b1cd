"""The 70 question templates as data: what each asks, of how many ECGs, with which placeholders, for which sources."""

from __future__ import annotations

from dataclasses import dataclass

from ecgqa.records import AttributeType, QuestionType


@dataclass(frozen=True, slots=True)
class Template:
    template_id: int
    question_type: QuestionType
    attribute_type: AttributeType


_TYPES = {
    "single-verify": {"scp_code": (1, 2, 12, 13, 14, 15, 16, 17), "heart_axis": (20,), "stage_of_infarction": (23,),
                      "noise": (26, 27, 28, 29), "extra_systole": (35, 36), "numeric_feature": (39,)},
    "single-choose": {"scp_code": (3, 4, 5, 6, 7), "heart_axis": (21,), "stage_of_infarction": (24,),
                      "noise": (30, 31), "extra_systole": (37,), "numeric_feature": (40,)},
    "single-query": {"scp_code": (8, 9, 10, 11, 18, 19), "heart_axis": (22,), "stage_of_infarction": (25,),
                     "noise": (32, 33, 34), "extra_systole": (38,), "numeric_feature": (41, 42)},
    "comparison_consecutive-verify": {"scp_code": (43, 44, 45, 46), "numeric_feature": (50, 51, 52, 53)},
    "comparison_consecutive-query": {"scp_code": (47, 48, 49), "numeric_feature": (54, 55, 56)},
    "comparison_irrelevant-verify": {"scp_code": (57, 58, 59, 60), "numeric_feature": (64, 65, 66, 67)},
    "comparison_irrelevant-query": {"scp_code": (61, 62, 63), "numeric_feature": (68, 69, 70)},
}

TEMPLATES: dict[int, Template] = {
    template_id: Template(template_id, QuestionType(question_type), AttributeType(attribute_type))
    for template_id, question_type, attribute_type in sorted(
        (number, question_type, attribute_type)
        for question_type, by_attribute in _TYPES.items()
        for attribute_type, numbers in by_attribute.items()
        for number in numbers
    )
}
