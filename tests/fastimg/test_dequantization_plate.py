"""What ``dequantize`` makes of quantized images: ramps, hills, gaps and known points."""

import numpy as np
import pytest

from fastimg.dequantization import dequantize
from tests.fastimg.dequantization_cases import assert_inside, bins_of, codes_of, hill, ramp, rms

SHAPE = (17, 16)


@pytest.fixture
def hidden():
    """A ramp with something else in front of it."""
    truth = ramp(SHAPE)
    codes, mask = codes_of(truth), np.zeros(SHAPE, bool)
    mask[5:11, 4:12] = True
    codes[mask] = 7
    return truth, codes, mask


def test_a_quantized_ramp_comes_back_as_a_ramp(to_device, to_host):
    truth = ramp(SHAPE)
    result = to_host(dequantize(to_device(codes_of(truth)), bits=3, dtype="float64", tol=1e-8))
    assert np.abs(np.diff(result, 2, axis=0)).max() < 1e-3
    assert np.abs(np.diff(result, 2, axis=1)).max() < 1e-3
    assert rms(result - truth) < 0.1


def test_a_ramp_whose_least_energy_is_0_converges(to_device):
    info = dequantize(to_device(codes_of(ramp(SHAPE))), bits=3, return_info=True)[1]
    assert info.converged
    assert info.energy < 1e-6


@pytest.mark.parametrize("model", ["plate", "membrane", "blend"])
@pytest.mark.parametrize("boundary", ["free", "even"])
@pytest.mark.parametrize("shape", [SHAPE, (1, 1), (1, 6)])
def test_a_flat_image_comes_back_as_its_mid_level(to_device, to_host, model, boundary, shape):
    tension = 3.0 if model == "blend" else None
    codes = to_device(np.full(shape, 2, np.uint8))
    result = dequantize(codes, bits=2, model=model, boundary=boundary, tension_length=tension)
    np.testing.assert_allclose(to_host(result), 2.5, atol=1e-5)


def test_a_hill_is_closer_to_its_original_than_its_codes_are(to_device, to_host):
    truth = hill((24, 24))
    codes = codes_of(truth)
    result = to_host(dequantize(to_device(codes), bits=2))
    assert rms(result - truth) < 0.35 * rms(codes + 0.5 - truth)


def test_units_and_offsets_of_levels_go_through(to_device, to_host):
    codes = to_device(codes_of(hill((11, 10))).astype(np.int32))
    plain = to_host(dequantize(codes, bits=2, tol=1e-8))
    scaled = to_host(dequantize(codes, levels=[100, 120, 140, 160, 180], tol=1e-8))
    np.testing.assert_allclose(scaled, 100 + 20 * plain, atol=20 * 1e-3)


def test_a_row_is_a_beam(to_device, to_host):
    truth = ramp((1, 40))
    result = to_host(dequantize(to_device(codes_of(truth)), bits=4, tol=1e-8))
    assert np.abs(np.diff(result[0], 2)).max() < 1e-3
    column = to_host(dequantize(to_device(codes_of(truth).T), bits=4, tol=1e-8))
    np.testing.assert_allclose(column.T, result, atol=1e-3)


def test_a_masked_gap_is_bridged_and_what_is_in_it_kept(to_device, to_host, hidden):
    truth, codes, mask = hidden
    result = to_host(dequantize(to_device(codes), bits=3, mask=to_device(mask), dtype="float64", tol=1e-8))
    np.testing.assert_array_equal(result[mask], 7)
    assert rms((result - truth)[~mask]) < 0.1
    assert np.abs(np.diff(result, 2, axis=1)[~mask[:, 1:-1] & ~mask[:, 2:] & ~mask[:, :-2]]).max() < 1e-3


def test_without_the_mask_the_plate_bends_around_what_is_in_front(to_device, to_host, hidden):
    truth, codes, mask = hidden
    result = to_host(dequantize(to_device(codes), bits=3))
    assert rms((result - truth)[~mask]) > 0.15


def test_bridging_is_having_no_bounds_under_the_mask(to_device, to_host, hidden):
    _, codes, mask = hidden
    lower, upper = bins_of(codes)
    open_bounds = np.where(mask, -np.inf, lower), np.where(mask, np.inf, upper)
    whole = dequantize(None, lower=to_device(open_bounds[0]), upper=to_device(open_bounds[1]))
    result = dequantize(to_device(codes), bits=3, mask=to_device(mask), dtype="float64")
    np.testing.assert_array_equal(to_host(result)[~mask], to_host(whole)[~mask])


def test_a_cut_plate_is_two_plates(to_device, to_host):
    left, right = codes_of(hill((12, 9), 5.9)), codes_of(4 - hill((12, 8)))
    codes = np.hstack([left, np.full((12, 1), 6, np.uint8), right])
    mask = np.zeros(codes.shape, bool)
    mask[:, 9] = True
    options = {"bits": 3, "dtype": "float64", "tol": 1e-10}
    cut = to_host(dequantize(to_device(codes), mask=to_device(mask), mask_mode="cut", **options))
    bridged = to_host(dequantize(to_device(codes), mask=to_device(mask), **options))
    alone = [to_host(dequantize(to_device(part), **options)) for part in (left, right)]
    np.testing.assert_allclose(cut[:, :9], alone[0], atol=2e-3)
    np.testing.assert_allclose(cut[:, 10:], alone[1], atol=2e-3)
    np.testing.assert_array_equal(cut[:, 9], 6)
    assert np.abs(bridged - cut).max() > 0.1


def test_an_image_that_is_masked_all_over_is_kept(to_device, to_host):
    codes = codes_of(hill(SHAPE))
    for mode in ("bridge", "cut"):
        result = dequantize(to_device(codes), bits=2, mask=to_device(np.ones(SHAPE, bool)), mask_mode=mode)
        np.testing.assert_array_equal(to_host(result), codes)


def test_masked_pixels_keep_the_edge_of_their_level_or_the_image_or_the_middle(to_device, to_host):
    codes, mask = codes_of(hill((6, 6))), np.eye(6, dtype=bool)
    levels, image = np.array([0.0, 0.5, 2.0, 5.0, 9.0]), np.arange(36.0).reshape(6, 6)
    lower, upper = bins_of(codes, levels=levels)
    results = [
        (dequantize(to_device(codes), levels=to_device(levels), mask=to_device(mask)), levels[codes]),
        (
            dequantize(
                to_device(image), lower=to_device(lower), upper=to_device(upper), mask=to_device(mask)
            ),
            image,
        ),
        (
            dequantize(None, lower=to_device(lower), upper=to_device(upper), mask=to_device(mask)),
            (lower + upper) / 2,
        ),
    ]
    for result, kept in results:
        np.testing.assert_array_equal(to_host(result)[mask], kept[mask].astype(result.dtype))


def test_known_points_are_kept_and_shape_what_is_around_them(to_device, to_host):
    codes = np.full((11, 11), 2, np.uint8)
    places, values = np.zeros((11, 11), bool), np.full((11, 11), np.nan)
    places[[0, 0, 5, 10, 10], [0, 10, 5, 0, 10]] = True
    values[places] = [2.0, 2.0, 2.75, 2.0, 2.0]
    result = to_host(dequantize(to_device(codes), bits=3, fixed=(to_device(places), to_device(values))))
    np.testing.assert_array_equal(result[places], values[places])
    assert result[5, 5] >= result[5, 4] > result[5, 1]
    assert_inside(result, 2.0, 3.0)


def test_a_known_point_may_lie_outside_its_bin(to_device, to_host):
    places = np.zeros((9, 9), bool)
    places[4, 4] = True
    result = dequantize(to_device(np.ones((9, 9), np.uint8)), bits=2, fixed=(to_device(places), 5.25))
    assert to_host(result)[4, 4] == 5.25
    assert_inside(to_host(result), 1.0, 2.0, ~places)


def test_a_blend_lies_between_plate_and_membrane(to_device, to_host):
    codes = to_device(codes_of(hill((11, 10))).astype(np.int32))
    options = {"bits": 2, "tol": 1e-8}
    plate, membrane = (to_host(dequantize(codes, model=model, **options)) for model in ("plate", "membrane"))
    stiff, slack, middling = (
        to_host(dequantize(codes, model="blend", tension_length=length, **options))
        for length in (1e3, 0.05, 4.0)
    )
    np.testing.assert_allclose(stiff, plate, atol=0.01)
    np.testing.assert_allclose(slack, membrane, atol=0.01)
    assert plate.max() > middling.max() > membrane.max()


def test_a_membrane_cuts_the_summit_off_and_a_plate_does_not(to_device, to_host):
    codes = codes_of(hill((20, 20)))
    plate, membrane = (
        to_host(dequantize(to_device(codes), bits=2, model=model)) for model in ("plate", "membrane")
    )
    assert membrane.max() < 3.01
    assert plate.max() > 3.3


def test_a_mirrored_edge_is_level_and_a_free_one_is_not(to_device, to_host):
    codes = to_device(codes_of(ramp(SHAPE, 0, 0.3)))
    free, even = (to_host(dequantize(codes, bits=3, boundary=boundary)) for boundary in ("free", "even"))
    assert abs(np.diff(even, axis=1)[:, 0]).max() < 0.5 * abs(np.diff(free, axis=1)[:, 0]).min()


@pytest.mark.parametrize("turn", [lambda a: a[::-1], lambda a: a[:, ::-1], lambda a: a.T])
def test_a_turned_image_gives_the_turned_result(to_device, to_host, turn):
    codes = codes_of(hill((14, 11)), np.int32)
    result = to_host(dequantize(to_device(codes), bits=2, tol=1e-8))
    turned = to_host(dequantize(to_device(np.ascontiguousarray(turn(codes))), bits=2, tol=1e-8))
    np.testing.assert_allclose(turned, turn(result), atol=1e-3)


@pytest.mark.parametrize(("scale", "offset"), [(1e-100, 0.0), (1e-20, 7.0), (3e15, 7.0), (1e100, 0.0)])
def test_the_size_of_the_units_does_not_matter(to_device, to_host, scale, offset):
    codes = codes_of(hill((9, 8))).astype(np.int32)
    levels = scale * (offset + np.arange(5.0))
    plain, plain_info = dequantize(to_device(codes), bits=2, tol=1e-8, return_info=True)
    result, info = dequantize(to_device(codes), levels=to_device(levels), tol=1e-8, return_info=True)
    assert_inside(to_host(result), *bins_of(codes, levels=levels))
    np.testing.assert_allclose(to_host(result) / scale - offset, to_host(plain), atol=1e-3)
    assert info.energy == pytest.approx(plain_info.energy * scale**2, rel=1e-6)
